package transport

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

func content(s string) *Content {
	c := String(s)
	return &c
}

// ops holds every op twice: as its zero value and with every field set.
var ops = []Op{
	Stat{}, Stat{Path: "/a b\n\xff", Follow: true, Digest: true, Against: content("x")},
	List{}, List{Path: "/<&>", Recursive: true, Digest: true, Against: content("m")},
	Read{}, Read{Path: "/é\u2028", Offset: 5, Limit: 7},
	Lookup{}, Lookup{Table: Users, Keys: Texts("root", "\xff", "")},
	Exec{}, Exec{Argv: Texts("a", "", "\x01\x80"), Env: map[string]Text{"B": "2", "A": "\xff"}, Dir: "/d", User: "u", Login: true, Stdin: content(""), Timeout: time.Second, Limit: 9, Change: true},
	Write{}, Write{Path: "/w", Content: String("w"), Mode: "0640", Owner: "o", Group: "g", Follow: true, Backup: "/w~", Validate: Texts("v", "%s")},
	Unpack{}, Unpack{Path: "/u", Files: String("m"), Pack: String("p"), Owner: "o", Group: "g"},
	Mkdir{}, Mkdir{Path: "/m", Mode: "0700", Owner: "o", Group: "g", Parents: true},
	Link{}, Link{Path: "/l", Target: "../\xfe", Hard: true, Owner: "o", Group: "g"},
	Remove{}, Remove{Path: "/r", Recursive: true},
	SetAttr{}, SetAttr{Path: "/s", Mode: "0755", Owner: "o", Group: "g", Recursive: true, FileMode: "0644"},
	Ask{}, Ask{What: AskFiles, Name: "deploy/x", Files: content("m"), Unseen: true},
}

var results = []struct {
	op Op
	r  Result
}{
	{Stat{}, FileInfo{Type: Absent}},
	{Stat{}, FileInfo{Type: Regular, Mode: "4755", UID: 1, GID: 2, Owner: "o", Group: "\xff", Size: 3, ModTime: 4, Target: "t", Digest: "sha256:x", Same: true}},
	{List{}, Listing{Entries: []Entry{}}},
	{List{}, Listing{Entries: []Entry{{Path: "a\xff", FileInfo: FileInfo{Type: Symlink, Target: "<b>"}}}}},
	{List{}, Listing{Entries: []Entry{}, Alike: []Alike{{Type: Regular, Executable: true, Mode: "0755", UID: 1, GID: 2, Owner: "o", Group: "\xff"}}}},
	{Read{}, Data{Content: String("data"), More: true}},
	{Ask{}, Data{Content: String("")}},
	{Lookup{}, Rows{Rows: []Row{{Key: "k", Fields: map[string]Text{"b": "\xff", "a": ""}}}}},
	{Exec{}, Output{Code: 137, Signal: "KILL", Stdout: "\x00\xff", Stderr: "e", StdoutCut: 1, StderrCut: 2}},
	{Write{}, Written{}},
	{Write{}, Written{Validation: &Output{Code: 1, Stderr: "bad"}}},
	{Unpack{}, Done{}}, {Mkdir{}, Done{}}, {Link{}, Done{}}, {Remove{}, Done{}}, {SetAttr{}, Done{}},
}

// allSet fails for a struct in which a field is zero: a new field must get into the test.
func allSet(t *testing.T, v any) {
	t.Helper()
	rv := reflect.ValueOf(v)
	for i := range rv.NumField() {
		if rv.Field(i).IsZero() {
			t.Errorf("%T: field %s is not set in this test", v, rv.Type().Field(i).Name)
		}
	}
}

func TestOpRoundTrip(t *testing.T) {
	digests := map[Digest]Op{}
	for i, op := range ops {
		if i%2 == 1 {
			allSet(t, op)
		}
		enc := EncodeOp(op)
		back, err := DecodeOp(enc)
		if err != nil {
			t.Fatalf("%s: %v", enc, err)
		}
		// Contents come back by name only; all else is as it was.
		named := BindOp(op, func(c Content) Content { return Content{Digest: c.Digest, Size: c.Size} })
		if !reflect.DeepEqual(back, named) {
			t.Errorf("%s\ncame back as %+v\nwant         %+v", enc, back, named)
		}
		if !bytes.Equal(EncodeOp(back), enc) || DigestOp(back) != DigestOp(op) {
			t.Errorf("%s: its encoding is not canonical", enc)
		}
		d := DigestOp(op)
		if twin := digests[d]; twin != nil {
			t.Errorf("%T and %T have one digest", op, twin)
		}
		digests[d] = op
	}
}

func TestResultRoundTrip(t *testing.T) {
	for _, tt := range results {
		enc := EncodeResult(tt.r)
		back, err := DecodeResult(tt.op, enc)
		if err != nil {
			t.Fatalf("%s: %v", enc, err)
		}
		want := BindResult(tt.r, func(c Content) Content { return Content{Digest: c.Digest, Size: c.Size} })
		if !reflect.DeepEqual(back, want) || !bytes.Equal(EncodeResult(back), enc) {
			t.Errorf("%s came back as %+v", enc, back)
		}
	}
	allSet(t, results[1].r)
	allSet(t, results[7].r)
}

// TestGolden pins the encodings: journals of years hold them, and their digests.
func TestGolden(t *testing.T) {
	var b strings.Builder
	for _, op := range ops {
		fmt.Fprintf(&b, "%s\n\t%s\n", DigestOp(op), EncodeOp(op))
	}
	for _, tt := range results {
		fmt.Fprintf(&b, "%s: %s\n", tt.op.Kind(), EncodeResult(tt.r))
	}
	const file = "testdata/encoding.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("encodings differ from %s, so old journals could not be replayed:\n%s", file, b.String())
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, s := range []string{``, `{}`, `[]`, `null`, `{"kind":"nosuch"}`, `{"kind":"stat","path":5}`, `{"kind":"stat","path":{"base64":"!"}}`, `{"kind":7}`} {
		if op, err := DecodeOp([]byte(s)); err == nil {
			t.Errorf("%s was read as %+v", s, op)
		}
	}
	if r, err := DecodeResult(Stat{}, []byte(`{"uid":"x"}`)); err == nil {
		t.Errorf("%+v", r)
	}
	if r, err := DecodeResult(nil, []byte(`{}`)); err == nil {
		t.Errorf("%+v", r)
	}
}

func TestBind(t *testing.T) {
	bytesOf := func(c Content) Content {
		if c.Known() {
			t.Error("a decoded content has bytes")
		}
		for _, s := range []string{"x", "", "w", "data", "m", "p"} {
			if b := String(s); b.Digest == c.Digest {
				return b
			}
		}
		t.Errorf("asked for %s", c.Digest)
		return c
	}
	for _, op := range ops {
		back, err := DecodeOp(EncodeOp(op))
		if err != nil {
			t.Fatal(err)
		}
		if w, ok := op.(Write); ok && w.Content.Digest == "" {
			continue
		}
		if u, ok := op.(Unpack); ok && u.Pack.Digest == "" {
			continue
		}
		bound := BindOp(back, bytesOf)
		switch o := bound.(type) {
		case Write:
			if b, err := o.Content.ReadAll(9); err != nil || string(b) != "w" {
				t.Errorf("%q, %v", b, err)
			}
		case Exec:
			if o.Stdin != nil && !o.Stdin.Known() {
				t.Error("the input of a command has no bytes")
			}
		case Stat:
			if o.Against != nil && !o.Against.Known() {
				t.Error("what to compare with has no bytes")
			}
		case List:
			if o.Against != nil && !o.Against.Known() {
				t.Error("the manifest to compare with has no bytes")
			}
		case Unpack:
			if !o.Files.Known() || !o.Pack.Known() {
				t.Error("what is to be unpacked has no bytes")
			}
		case Ask:
			if o.Files != nil && !o.Files.Known() {
				t.Error("the manifest of what is asked for has no bytes")
			}
		}
	}
	r, err := DecodeResult(Read{}, EncodeResult(Data{Content: String("data")}))
	if err != nil {
		t.Fatal(err)
	}
	if d := BindResult(r, bytesOf).(Data); !d.Content.Known() {
		t.Error("the content of a result has no bytes")
	}
	if BindResult(Done{}, bytesOf) != (Done{}) {
		t.Error("a result without contents was changed")
	}
}

func TestKindsAndChanges(t *testing.T) {
	changing := map[string]bool{"write": true, "unpack": true, "mkdir": true, "link": true, "remove": true, "setattr": true}
	for _, op := range ops {
		want := changing[op.Kind()]
		if e, ok := op.(Exec); ok {
			want = e.Change
		}
		if op.Changes() != want {
			t.Errorf("%+v: Changes is %v", op, op.Changes())
		}
	}
}

func FuzzDecodeOp(f *testing.F) {
	for _, op := range ops {
		f.Add(EncodeOp(op))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		op, err := DecodeOp(b)
		if err != nil {
			return
		}
		enc := EncodeOp(op)
		back, err := DecodeOp(enc)
		if err != nil || !bytes.Equal(EncodeOp(back), enc) {
			t.Errorf("%q: read as %s, then as %+v: %v", b, enc, back, err)
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	for i, tt := range results {
		f.Add(uint8(i), EncodeResult(tt.r))
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		op := results[int(i)%len(results)].op
		r, err := DecodeResult(op, b)
		if err != nil {
			return
		}
		enc := EncodeResult(r)
		back, err := DecodeResult(op, enc)
		if err != nil || !bytes.Equal(EncodeResult(back), enc) {
			t.Errorf("%q: read as %s, then as %+v: %v", b, enc, back, err)
		}
	})
}
