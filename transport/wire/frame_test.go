package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func FuzzFrame(f *testing.F) {
	frames := appendFrame(nil, frame{kindCall, 1, pack([]byte("do"), []byte(`{"kind":"stat","path":"/"}`), nil)})
	frames = appendFrame(frames, frame{kindMessage, 0, pack([]byte("record"), nil)})
	f.Add(frames)
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 9, 'd', 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{0, 0, 0, 8, 'd', 0, 0, 0, 0, 0, 0, 0})
	f.Add(append([]byte{4, 0, 0, 0, 'd', 0, 0, 0, 0, 0, 0, 0, 1}, "not as much as it says"...))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(appendFrame(nil, frame{kindReply, math.MaxUint64, bytes.Repeat([]byte{0}, 1000)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(b), 16)
		var again []byte
		for {
			fr, err := readFrame(r, nil)
			if err != nil {
				if (err == io.EOF) != (len(again) == len(b)) {
					t.Fatalf("%d of %d bytes were frames, then: %v", len(again), len(b), err)
				}
				break
			}
			if cap(fr.body) > 2*len(b)+trusted {
				t.Fatalf("a body takes %d bytes where %d came", cap(fr.body), len(b))
			}
			again = appendFrame(again, fr)
			if fields, err := unpack(fr.body, 2); err == nil {
				if len(fields) < 2 || len(fields) > maxFields {
					t.Fatalf("%d fields", len(fields))
				}
				if back, err := unpack(pack(fields...), len(fields)); err != nil || !reflect.DeepEqual(back, fields) {
					t.Fatalf("%q came back as %q: %v", fields, back, err)
				}
			}
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("frames %q of %q", again, b)
		}
		noise, err := skipNoise(bufio.NewReaderSize(bytes.NewReader(b), 16))
		at := bytes.Index(b, []byte(greeting))
		if (err == nil) != (at >= 0) || err == nil && len(noise) != at {
			t.Fatalf("noise %q, %v", noise, err)
		}
	})
}

// FuzzConn lets a far end say anything after its greeting: the connection ends, and nothing else happens.
func FuzzConn(f *testing.F) {
	op := []byte(`{"kind":"write","path":"/f","content":{"digest":"sha256:00","size":3}}`)
	for _, fr := range []frame{
		{kindCall, 1, pack([]byte("do"), op, nil, []byte("abc"))}, {kindCall, 1, pack([]byte("do"), op, pack([]byte("sha256:00")))},
		{kindCall, 1, pack([]byte("other"), []byte(`{"args":"AAAA"}`), nil)}, {kindReply, 1, pack(nil, nil)}, {kindFail, 1, nil}, {kindCancel, 1, nil},
		{kindMessage, 0, pack(nil, nil)}, {kindPull, 1, []byte("sha256:00")}, {kindData, 1, []byte("x")}, {kindEnd, 1, nil},
		{kindAck, 1, make([]byte, 8)}, {kindDrop, 1, nil}, {'?', 1, nil},
	} {
		f.Add(append(appendFrame(nil, fr), appendFrame(nil, fr)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := New(io.MultiReader(strings.NewReader(greeting), bytes.NewReader(b)), io.Discard, nil, Options{Host: quick})
		wait(t, "the end", c.Done())
	})
}

// TestAnnouncedLengths: a far end that announces much and sends little costs little.
func TestAnnouncedLengths(t *testing.T) {
	head := []byte{4, 0, 0, 0, 'd', 0, 0, 0, 0, 0, 0, 0, 1}
	before := allocated()
	_, err := readFrame(bufio.NewReader(bytes.NewReader(append(head, "little"...))), nil)
	if got := allocated() - before; got > 2*trusted {
		t.Errorf("%d bytes were allocated", got)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "6 bytes into a frame of 67108855") {
		t.Error(err)
	}
	// Fields of no bytes: a slice each.
	many := make([]byte, 1<<20)
	before = allocated()
	if _, err := unpack(many, 2); err == nil || allocated()-before > trusted {
		t.Errorf("%d bytes were allocated: %v", allocated()-before, err)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestFrameEnds(t *testing.T) {
	whole := appendFrame(nil, frame{kindData, 7, bytes.Repeat([]byte("x"), 300<<10)})
	for _, n := range []int{0, 1, 4, 12, 13, 14, 100, trusted, trusted + 13, len(whole) - 1, len(whole)} {
		f, err := readFrame(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(whole[:n]))), nil)
		switch {
		case n == len(whole):
			if err != nil || f.kind != kindData || f.id != 7 || len(f.body) != 300<<10 {
				t.Errorf("the whole frame: %v, %d bytes", err, len(f.body))
			}
		case n == 0:
			if err != io.EOF {
				t.Errorf("nothing: %v", err)
			}
		case !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, size := range []uint32{0, 8, MaxFrame + 1, math.MaxUint32} {
		b := append(binary.BigEndian.AppendUint32(nil, size), make([]byte, 20)...)
		if _, err := readFrame(bufio.NewReader(bytes.NewReader(b)), nil); err == nil || !strings.Contains(err.Error(), "it has to have between") {
			t.Errorf("a frame of %d bytes: %v", size, err)
		}
	}
}

func TestGreeting(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for _, tt := range []struct{ name, noise string }{
		{"none", ""}, {"lines", "Welcome!\nLast login: never\n"}, {"no newline", "Password: "}, {"a long line", long}, {"long lines", long + "\n" + long},
		{"half a greeting", greeting[:8]}, {"a greeting of another version", "\x1efabgo-wire/2\n"}, {"without its first byte", greeting[1:]},
		{"twice begun", greeting[:len(greeting)-1]}, {"NUL and binary", "\x00\xff\x1e\x1e\n\n"}, {"carriage return", strings.Replace(greeting, "\n", "\r\n", 1)},
	} {
		in := tt.noise + greeting + "frames"
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(in), "byte by byte": iotest.OneByteReader(strings.NewReader(in)), "halves": iotest.HalfReader(strings.NewReader(in))} {
			b := bufio.NewReader(r)
			noise, err := skipNoise(b)
			rest, _ := io.ReadAll(b)
			if err != nil || string(noise) != tt.noise || string(rest) != "frames" {
				t.Errorf("%s, %s: %d bytes of noise, want %d, then %q: %v", tt.name, name, len(noise), len(tt.noise), rest, err)
			}
		}
	}
}

func TestNoGreeting(t *testing.T) {
	for _, tt := range []struct{ name, said, noise, want string }{
		{"nothing", "", "", "no greeting: EOF"},
		{"a message", "sh: 1: fabgo: not found\n", "sh: 1: fabgo: not found\n", "no greeting: EOF"},
		{"1 MB", strings.Repeat("noise\n", 1<<20/6), "noise\n", "and no greeting among them"},
		{"1 MB without a newline", strings.Repeat("x", 1<<20), "x", "and no greeting among them"},
	} {
		c := New(strings.NewReader(tt.said), io.Discard, nil, Options{})
		wait(t, tt.name, c.Done())
		none, ok := errors.AsType[*NoGreeting](c.Err())
		if !ok || !strings.HasPrefix(string(none.Noise), tt.noise) || !strings.Contains(none.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, c.Err())
		}
		if ok && len(none.Noise) > 2*maxNoise {
			t.Errorf("%s: %d bytes were kept", tt.name, len(none.Noise))
		}
	}
	// What was asked meanwhile was not lost: nobody can have seen it.
	c, f := silent(t, Options{})
	done := make(chan error, 1)
	go func() { _, err := c.Do(t.Context(), stat); done <- err }()
	f.next(kindCall)
	f.write([]byte("bash: no job control\n"))
	f.w.Close()
	if err := wait(t, "the answer", done); !strings.Contains(err.Error(), "no greeting") {
		t.Error(err)
	}
}
