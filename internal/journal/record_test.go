package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fabgo/transport"
)

var update = flag.Bool("update", false, "write golden files")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.UTC)

// samples has one record of every type with every field set; TestSamplesAreWhole sees to that.
func samples() []Record {
	begin := Begin{Builtin: "file.put", Resource: "file:/etc/motd", Label: "the greeting", Pos: "web1.star:4:9", Quiet: true}
	fail := &Failure{
		Kind: transport.NoSpace, Message: "write /etc/motd: disk full", Hint: "make room", Command: []string{"systemctl", "start", "a b"},
		Code: 1, Stderr: "line 1\nline <2>", Frames: []string{"web1.star:4:9 in bootstrap_base", "web1.star:20:1"},
		Source: "    file.put(\"/etc/motd\")", Unkept: true,
	}
	op := json.RawMessage(transport.EncodeOp(transport.Remove{Path: "/etc/x"}))
	return []Record{
		{Host: "web1", Time: noon, Step: 1, Body: Start{
			Schema: 1, Run: "20261124T120000Z-a1b2c3", Fabgo: "0.1.0", Mode: Running, Bundle: "/srv/web1.star",
			Digests: map[string]string{"bundle": "sha256:00"}, Tasks: []Task{{Name: "bootstrap_base", Args: []string{"port=7000"}}},
			Vars: map[string]json.RawMessage{"live": json.RawMessage("true")}, Address: "10.0.0.5:22", Login: "admin", User: "root", State: "/var/lib/fabgo/state",
			Carried: []Carried{{Builtin: "file.put", Resource: "file:/etc/motd", Run: "20261123T120000Z-d4e5f6", Tasks: []Task{{Name: "bootstrap_all", Args: []string{"a=b"}}}, Step: 3, Done: true, Failed: true}},
		}},
		{Host: "web1", Time: noon, Step: 1, Body: begin},
		{Host: "web1", Time: noon, Step: 1, Body: Intent{Index: 1, Op: op, Digest: transport.DigestOf(op)}},
		{Host: "web1", Time: noon, Step: 1, Body: Outcome{
			Index: 1, Op: op, Digest: transport.DigestOf(op), Result: json.RawMessage("{}"), Millis: 7,
			Error: &transport.Error{Kind: transport.Denied, Message: "remove /etc/x: denied", Path: "/etc/x", Hint: "chattr -i", Stderr: "rm: no"},
		}},
		{Host: "web1", Time: noon, Step: 1, Body: End{
			Begin: begin, Status: Changed, Changed: true, Because: "step 3 (run make)", Carried: "20261123T120000Z-d4e5f6", Error: fail, Millis: 1200,
			Diff: []Delta{{Object: "file:/etc/motd", Attr: "content", From: "1 bytes", To: "2 bytes", Text: "@@ -1 +1 @@\n-a\n+b\n"}},
		}},
		{Host: "web1", Time: noon, Step: 1, Body: Note{Text: "hello\n<&>", Pos: "web1.star:9:1"}},
		{Host: "web1", Time: noon, Step: 1, Body: Finish{Status: Broken, Counts: map[Status]int{OK: 3, Failed: 1}, Error: fail, Millis: 9000}},
	}
}

func TestSamplesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if v.IsNil() {
				t.Errorf("%s is not set", path)
				return
			}
			walk(path, v.Elem())
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.Tag.Get("json") != "-" {
					walk(path+"."+f.Name, v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
			}
			fallthrough
		default:
			if v.IsZero() {
				t.Errorf("%s is not set", path)
			}
		}
	}
	for _, r := range samples() {
		seen[r.Body.Type()] = true
		walk(r.Body.Type(), reflect.ValueOf(r.Body))
	}
	for _, typ := range []string{"start", "step", "intent", "op", "end", "note", "finish"} {
		if !seen[typ] {
			t.Errorf("no sample of type %s", typ)
		}
		if _, err := decodeBody(typ, []byte("{}")); err != nil {
			t.Error(err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, want := range samples() {
		line, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Record
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %#v\nwant %#v", line, got, want)
		}
	}
	bare := Record{Host: "h", Time: noon.In(time.FixedZone("x", 3600)), Body: Note{}}
	line, err := bare.MarshalJSON()
	if want := `{"type":"note","host":"h","time":"2026-11-24T12:00:00.123456789Z","text":""}`; err != nil || string(line) != want {
		t.Errorf("got %s, %v, want %s", line, err, want)
	}
}

// TestSchema keeps the promise that fields are only added within a schema version: what testdata has for it must still be written so.
func TestSchema(t *testing.T) {
	var b bytes.Buffer
	for _, r := range samples() {
		line, err := compact(r)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Fatal(err)
		}
		flatten(&b, r.Body.Type(), fields)
	}
	golden := filepath.Join("testdata", fmt.Sprintf("schema-%d.golden", Schema))
	want, err := os.ReadFile(golden)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	now := strings.Split(b.String(), "\n")
	for _, line := range strings.Split(string(want), "\n") {
		if !slices.Contains(now, line) {
			t.Errorf("schema %d had %s: a field that goes or changes needs a new Schema, and docs/journal.md", Schema, line)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if b.String() != string(want) {
		t.Errorf("a field was added: document it in docs/journal.md, then run go test -update. Now:\n%s", b.String())
	}
}

func flatten(b *bytes.Buffer, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			flatten(b, path+"."+k, v[k])
		}
	case []any:
		for _, e := range v {
			flatten(b, path+"[]", e)
		}
	default:
		out, _ := compact(v)
		fmt.Fprintf(b, "%s = %s\n", path, out)
	}
}

// TestDocumented keeps docs/journal.md whole: it names every field of every record.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	var check func(in string, typ reflect.Type)
	check = func(in string, typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if name != "" && !bytes.Contains(doc, []byte("| `"+name+"` |")) {
				t.Errorf("docs/journal.md has no row for %s of %s", name, in)
			}
			check(typ.Name(), f.Type)
		}
	}
	check("head", reflect.TypeFor[head]())
	for _, r := range samples() {
		check(r.Body.Type(), reflect.TypeOf(r.Body))
		if !bytes.Contains(doc, []byte("### `"+r.Body.Type()+"`")) {
			t.Errorf("docs/journal.md has no section on %s", r.Body.Type())
		}
	}
}

// TestHeadIsApart: a body that used a name of the head would overwrite it.
func TestHeadIsApart(t *testing.T) {
	for _, r := range samples() {
		body, _ := compact(r.Body)
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"type", "host", "time", "step"} {
			if _, ok := fields[k]; ok {
				t.Errorf("%s has a field %q of its own", r.Body.Type(), k)
			}
		}
	}
}

func TestOddBytesStayApart(t *testing.T) {
	odd := func(s string) []Record {
		f := &Failure{Message: s, Hint: s, Command: []string{s}, Stderr: s, Frames: []string{s}, Source: s}
		b := Begin{Builtin: s, Resource: s, Label: s, Pos: s}
		return []Record{
			{Host: s, Body: Start{Bundle: s, Tasks: []Task{{Name: s, Args: []string{s}}}}},
			{Body: b},
			{Body: Outcome{Error: &transport.Error{Message: s, Hint: s, Path: transport.Path(s), Stderr: transport.Text(s)}}},
			{Body: End{Begin: b, Because: s, Diff: []Delta{{Object: s, Attr: s, From: s, To: s, Text: s}}, Error: f}},
			{Body: Note{Text: s, Pos: s}},
			{Body: Finish{Error: f}},
		}
	}
	a, b := odd("a\xff"), odd("a\xfe")
	for i := range a {
		la, _ := compact(a[i])
		lb, _ := compact(b[i])
		if bytes.Equal(la, lb) {
			t.Errorf("two different texts are one in the journal: %s", la)
		}
		if bytes.Contains(la, []byte("\ufffd")) || bytes.Contains(la, []byte(`\ufffd`)) {
			t.Errorf("a byte was lost: %s", la)
		}
		var back Record
		if err := json.Unmarshal(la, &back); err != nil {
			t.Fatal(err)
		}
		again, _ := compact(back)
		if !bytes.Equal(again, la) {
			t.Errorf("written %s, written again %s", la, again)
		}
	}
	if a[3].Body.(End).Diff[0].From != "a\xff" {
		t.Error("writing a record changed it")
	}
}

func TestUnknownType(t *testing.T) {
	var r Record
	err := json.Unmarshal([]byte(`{"type":"dance","host":"h","time":"2026-01-01T00:00:00Z"}`), &r)
	if err == nil || !strings.Contains(err.Error(), `unknown record type "dance"`) {
		t.Errorf("got %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range samples() {
		line, err := compact(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte(`{"type":"op","op":null,"error":{"path":{"base64":"/w=="}}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var r Record
		if json.Unmarshal(line, &r) != nil {
			return
		}
		if y := r.Time.Year(); y < 0 || y > 9999 { // a zone moved it out of RFC 3339
			return
		}
		once, err := compact(r)
		if err != nil {
			t.Fatalf("read %s but cannot write it: %v", line, err)
		}
		if !json.Valid(once) || bytes.IndexByte(once, '\n') >= 0 {
			t.Fatalf("not one line of JSON: %q", once)
		}
		var back Record
		if err := json.Unmarshal(once, &back); err != nil {
			t.Fatalf("cannot read back %s: %v", once, err)
		}
		twice, err := compact(back)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("written %s, read and written again %s (%v)", once, twice, err)
		}
	})
}
