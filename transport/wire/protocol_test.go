package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"fabgo/transport"
)

var (
	stat   = transport.Stat{Path: "/f"}
	change = transport.Mkdir{Path: "/d"}
)

// TestViolations: a far end that speaks otherwise than it should loses the connection, with a reason.
func TestViolations(t *testing.T) {
	blocking := transport.HostFunc(func(ctx context.Context, _ transport.Op) (transport.Result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	content := source(t, attachLimit+1)
	call := pack([]byte(doCall), transport.EncodeOp(stat), nil)
	for _, tt := range []struct {
		name string
		do   func(f *far)
		want string
	}{
		{"unknown kind", func(f *far) { f.send('?', 1, nil) }, `unknown kind '?'`},
		{"empty frame", func(f *far) { f.write([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) }, "a frame of 0 bytes"},
		{"large frame", func(f *far) { f.write([]byte{0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) }, "it has to have between 9 and"},
		{"large frame, begun", func(f *far) { f.write([]byte{0xff, 0, 0, 0}) }, "it has to have between 9 and"}, // and nothing else comes
		{"end in a frame", func(f *far) { f.write([]byte{0, 0, 0, 9, 'x'}); f.w.Close() }, "in the middle of a frame"},
		{"end between frames", func(f *far) { f.send(kindMessage, 0, pack(nil, nil)); f.w.Close() }, "EOF"},
		{"broken fields", func(f *far) { f.send(kindCall, 1, []byte{200}) }, "longer than its frame"},
		{"missing fields", func(f *far) { f.send(kindCall, 1, pack(nil)) }, "a frame has 1 fields, not 3"},
		{"too many fields", func(f *far) { f.send(kindMessage, 0, make([]byte, 1000)) }, "more than 16 fields"},
		{"an answer to nothing", func(f *far) { f.send(kindReply, 5, pack(nil, nil)) }, "call 5, which was not made"},
		{"a failure of nothing", func(f *far) { f.send(kindFail, 5, nil) }, "call 5, which was not made"},
		{"data of nothing", func(f *far) { f.send(kindData, 5, []byte("x")) }, "content 5, which was not asked for"},
		{"end of nothing", func(f *far) { f.send(kindEnd, 5, nil) }, "content 5, which was not asked for"},
		{"a call twice", func(f *far) { f.send(kindCall, 1, call); f.send(kindCall, 1, call) }, "call 1, with 1 others under way"},
		{"too many calls", func(f *far) {
			for i := range callLimit + 1 {
				f.send(kindCall, uint64(i), call)
			}
		}, "others under way"},
		{"too many pulls", func(f *far) {
			for i := range pullLimit + 1 { // the window of none of them is ever opened again
				f.send(kindPull, uint64(i), []byte(content.Digest))
			}
		}, "others under way"},
		{"a short ack", func(f *far) { f.send(kindAck, 1, []byte("x")) }, "an acknowledgement of 1 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, f := byHand(t, Options{Host: blocking})
			go func() { // reads all, for the pipe holds nothing
				for range f.frames {
				}
			}()
			c.Offer(transport.Source(content.Digest, 100*window, func() (io.ReadCloser, error) { return io.NopCloser(pattern(100 * window)), nil }))
			tt.do(f)
			ended(t, c, tt.want)
		})
	}
}

// TestTolerated: what may cross the end of what it is about is no violation.
func TestTolerated(t *testing.T) {
	c, f := byHand(t, Options{Host: quick})
	f.send(kindCancel, 1, nil)
	f.send(kindDrop, 1, nil)
	f.send(kindAck, 1, make([]byte, 8))
	f.send(kindMessage, 0, pack(nil, nil))
	f.send(kindPull, 3, []byte("sha256:unknown"))
	if end := f.next(kindEnd); end.id != 3 || string(end.body) != errNotOffered.Error() {
		t.Errorf("%d %s", end.id, end.body)
	}
	f.send(kindCall, 9, pack([]byte(doCall), transport.EncodeOp(stat), nil))
	if r := f.next(kindReply); r.id != 9 {
		t.Error(r.id)
	}
	if c.ctx.Err() != nil {
		t.Error(c.Err())
	}
}

// TestBadCalls are answered with an error; the connection goes on.
func TestBadCalls(t *testing.T) {
	none := transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) { return nil, nil })
	for _, tt := range []struct {
		name string
		o    Options
		body []byte
		kind transport.Kind
		want string
	}{
		{"no host", Options{}, pack([]byte(doCall), transport.EncodeOp(stat), nil), transport.Unsupported, "stat: nothing here answers ops"},
		{"no calls", Options{}, pack([]byte("lock"), []byte(`{}`), nil), transport.Unsupported, "lock: nothing here answers this"},
		{"unknown op", Options{Host: quick}, pack([]byte(doCall), []byte(`{"kind":"format"}`), nil), transport.Protocol, "format"},
		{"no op", Options{Host: quick}, pack([]byte(doCall), []byte(`}`), nil), transport.Protocol, "decode op"},
		{"no arguments", Options{Call: func(context.Context, string, []byte, *transport.Content) ([]byte, error) { panic("called") }},
			pack([]byte("lock"), []byte(`{`), nil), transport.Protocol, "lock: "},
		{"bad offers", Options{Host: quick}, pack([]byte(doCall), transport.EncodeOp(stat), []byte{9}), transport.Protocol, "longer than its frame"},
		{"no answer", Options{Host: none}, pack([]byte(doCall), transport.EncodeOp(stat), nil), transport.Protocol, "answered with <nil> instead of transport.FileInfo"},
	} {
		_, f := byHand(t, tt.o)
		f.send(kindCall, 1, tt.body)
		if e := decodeError(f.next(kindFail).body); e.Kind != tt.kind || !strings.Contains(e.Message, tt.want) {
			t.Errorf("%s: %s: %v", tt.name, e.Kind, e)
		}
	}
}

// TestBadAnswers end in an error of kind Protocol for who asked.
func TestBadAnswers(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind kind
		body []byte
	}{
		{"no fields", kindReply, nil}, {"one field", kindReply, pack(nil)}, {"broken fields", kindReply, []byte{9, 9}},
		{"no result", kindReply, pack([]byte("x"), nil)}, {"bad offers", kindReply, pack([]byte("{}"), []byte{9})},
		{"an empty error", kindFail, nil}, {"an error without a kind", kindFail, []byte(`{"message":"m"}`)},
	} {
		c, f := byHand(t, Options{})
		done := make(chan error, 1)
		go func() { _, err := c.Do(t.Context(), stat); done <- err }()
		f.send(tt.kind, f.next(kindCall).id, tt.body)
		if err := wait(t, tt.name, done); transport.KindOf(err) != transport.Protocol {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// opened pulls a content from a far end by hand, which then does something.
func opened(t *testing.T, content transport.Content) (c *Conn, f *far, r io.ReadCloser, id uint64) {
	t.Helper()
	c, f = byHand(t, Options{})
	r, err := c.Remote(content).Open()
	if err != nil {
		t.Fatal(err)
	}
	p := f.next(kindPull)
	if string(p.body) != string(content.Digest) {
		t.Fatalf("%s is pulled, want %s", p.body, content.Digest)
	}
	return c, f, r, p.id
}

func TestFarEndLiesAboutAContent(t *testing.T) {
	content := transport.Content{Digest: transport.DigestOf([]byte("right")), Size: 5}
	for _, tt := range []struct{ name, said, want string }{
		{"other bytes", "wrong", "it is no longer"}, {"fewer", "righ", "it is no longer"}, {"more", "right!", "more than the expected 5 bytes"}, {"right", "right", ""},
	} {
		_, f, r, id := opened(t, content)
		f.send(kindData, id, []byte(tt.said))
		f.send(kindEnd, id, nil)
		b, err := io.ReadAll(r)
		if tt.want == "" && (err != nil || string(b) != "right") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %q, %v", tt.name, b, err)
		}
		r.Close()
	}
	// Empty, but not by its name.
	c, f := byHand(t, Options{})
	go func() { f.send(kindEnd, f.next(kindPull).id, nil) }()
	if _, err := c.Remote(transport.Content{Digest: content.Digest}).ReadAll(10); err == nil {
		t.Error("no bytes passed for others")
	}
	// Attached bytes of another digest are not those of the op.
	var got transport.Content
	_, f = byHand(t, Options{Host: transport.HostFunc(func(_ context.Context, op transport.Op) (transport.Result, error) {
		got = op.(transport.Write).Content
		return transport.Written{}, nil
	})})
	f.send(kindCall, 1, pack([]byte(doCall), transport.EncodeOp(transport.Write{Path: "/f", Content: content}), nil, []byte("wrong")))
	f.next(kindReply)
	if got.Known() {
		t.Errorf("%+v", got)
	}
}

func TestFarEndSendsTooMuch(t *testing.T) {
	content := transport.Content{Digest: "sha256:00", Size: 100 * window}
	c, f, _, id := opened(t, content)
	for range window/pieceSize + 1 {
		f.send(kindData, id, make([]byte, pieceSize))
	}
	ended(t, c, "more of a content than it may")

	c, f, _, id = opened(t, content)
	f.send(kindData, id, nil)
	ended(t, c, "an empty piece")

	// Bytes one by one cost about as much memory as bytes.
	_, f, r, id := opened(t, content)
	one := appendFrame(nil, frame{kindData, id, []byte("x")})
	var many []byte
	for range 1 << 10 {
		many = append(many, one...)
	}
	before := inUse()
	for range 256 { // 256 KiB
		f.write(many)
	}
	if got := inUse() - before; got > 4<<20 {
		t.Errorf("256 KiB, byte by byte, take %d bytes", got)
	}
	r.Close()
	f.send(kindData, id, []byte("x")) // it may have been on its way
	f.next(kindDrop)
	f.send(kindEnd, id, []byte("dropped"))
}

func TestFarEndAcknowledgesTooMuch(t *testing.T) {
	for _, n := range []uint64{window + 1, 1 << 63, 1<<64 - 1} {
		content := source(t, 10*window)
		c, f := byHand(t, Options{})
		c.Offer(content)
		f.send(kindPull, 1, []byte(content.Digest))
		for range window / pieceSize { // all that it may
			if d := f.next(kindData); len(d.body) != pieceSize {
				t.Fatalf("a piece of %d bytes", len(d.body))
			}
		}
		f.send(kindAck, 1, binary.BigEndian.AppendUint64(nil, pieceSize))
		f.next(kindData)
		f.send(kindAck, 1, binary.BigEndian.AppendUint64(nil, n))
		ended(t, c, "acknowledges more of a content than it was sent")
	}
}

func TestUseAfterTheEnd(t *testing.T) {
	a, b := join(t, Options{}, Options{Host: quick})
	content := source(t, 2*attachLimit)
	b.Offer(content)
	b.Close()
	ended(t, b, "closed on this side")
	wait(t, "the end", a.Done())
	if a.Err() != io.EOF {
		t.Error(a.Err())
	}
	for _, op := range []transport.Op{stat, change} { // neither was sent
		if _, err := a.Do(t.Context(), op); transport.KindOf(err) != transport.Unreachable {
			t.Errorf("%s: %v", op.Kind(), err)
		}
	}
	if _, err := a.Call(t.Context(), "lock", nil, nil); transport.KindOf(err) != transport.Unreachable || !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err := a.Send("t", nil); err != io.EOF {
		t.Error(err)
	}
	if _, err := a.Remote(content).ReadAll(content.Size); errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "the connection was lost") {
		t.Error(err)
	}
	a.Flush()
	a.Close()
	a.Close()
}
