package journal

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"fabgo/transport"
)

func newRun(t *testing.T) *Run {
	t.Helper()
	run, err := Store{filepath.Join(t.TempDir(), "state", "fabgo", "runs")}.NewRun(noon)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func newWriter(t *testing.T, run *Run, host string) *Writer {
	t.Helper()
	w, err := run.Writer(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestWriteAndRead(t *testing.T) {
	run := newRun(t)
	w := newWriter(t, run, "web1")
	for _, r := range samples() {
		must(t, w.Record(r))
	}
	must(t, w.Sync())
	got, err := run.Read("web1")
	if err != nil || !reflect.DeepEqual(got, samples()) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := run.Writer("web1"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second journal of the same host: %v", err)
	}
	if _, err := run.Read("web2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestSave(t *testing.T) {
	run := newRun(t)
	if _, err := run.Load("closure.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"a longer text", "short"} {
		must(t, run.Save("closure.json", []byte(want)))
		if got, err := run.Load("closure.json"); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if hosts, err := run.Hosts(); err != nil || len(hosts) != 0 {
		t.Errorf("a saved file is taken for a host: %q, %v", hosts, err)
	}
}

func TestHostNames(t *testing.T) {
	run := newRun(t)
	names := []string{"", "%41", "../../etc/passwd", "..", ".hidden", "@local", "DOMAIN\\user@h:22", "[::1]:22", "a b", "a%2", "a/b", "new\nline", "web1", "ä", "\xff"}
	for _, n := range names {
		must(t, newWriter(t, run, n).Record(Record{Host: n, Body: Note{Text: n}}))
	}
	got, err := run.Hosts()
	if err != nil || len(got) != len(names) {
		t.Fatalf("got %q, %v", got, err)
	}
	want := map[string]bool{}
	for _, n := range names {
		want[n] = true
	}
	for _, n := range got {
		if !want[n] {
			t.Errorf("%q was not written", n)
		}
		recs, err := run.Read(n)
		if err != nil || len(recs) != 1 || recs[0].Body.(Note).Text != readable(n) {
			t.Errorf("%q: got %v, %v", n, recs, err)
		}
	}
	es, err := os.ReadDir(run.Dir())
	if err != nil || len(es) != len(names)+1 { // and blobs
		t.Errorf("%d entries in the folder of the run (%v): a name led elsewhere", len(es), err)
	}
	must(t, os.WriteFile(filepath.Join(run.Dir(), "a%zz.jsonl"), nil, 0o600))
	if _, err := run.Hosts(); err == nil {
		t.Error("a damaged name was accepted")
	}
}

func FuzzHostName(f *testing.F) {
	f.Add("web1")
	f.Add("\x00/%..\xff")
	f.Fuzz(func(t *testing.T, s string) {
		enc := encodeName(s)
		if strings.ContainsAny(enc, "/\\:\x00*?\"<>|\n ") || strings.HasPrefix(enc, ".") {
			t.Fatalf("%q is written %q", s, enc)
		}
		if back, err := decodeName(enc); err != nil || back != s {
			t.Fatalf("%q is written %q and read back as %q, %v", s, enc, back, err)
		}
		decodeName(s)
	})
}

func TestTruncated(t *testing.T) {
	run := newRun(t)
	w := newWriter(t, run, "web1")
	for _, r := range samples() {
		must(t, w.Record(r))
	}
	must(t, w.Close())
	name := run.file("web1")
	whole, err := os.ReadFile(name)
	must(t, err)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	at := 0
	for n, line := range lines[:len(lines)-1] {
		for _, cut := range []int{at, at + 1, at + len(line)/2, at + len(line) - 1} {
			must(t, os.WriteFile(name, whole[:cut], 0o600))
			recs, err := run.Read("web1")
			if err != nil || len(recs) != n {
				t.Errorf("cut at byte %d: %d records, %v, want %d", cut, len(recs), err, n)
			}
		}
		at += len(line)
	}
	must(t, os.WriteFile(name, append(bytes.Clone(lines[0]), "\x00\x00\x00"...), 0o600)) // what a power loss leaves
	if recs, err := run.Read("web1"); err != nil || len(recs) != 1 {
		t.Errorf("got %d records, %v", len(recs), err)
	}
	must(t, os.WriteFile(name, []byte("garbage\n"), 0o600))
	if _, err := run.Read("web1"); err == nil || !strings.Contains(err.Error(), "web1.jsonl") {
		t.Errorf("got %v, want an error that names the file", err)
	}
	must(t, os.WriteFile(name, []byte(string(lines[0])+"garbage\n"), 0o600))
	if _, err := run.Read("web1"); err == nil || !strings.Contains(err.Error(), "web1.jsonl:2") {
		t.Errorf("got %v, want an error that names file and line", err)
	}
}

func TestNewerSchema(t *testing.T) {
	run := newRun(t)
	for _, first := range []string{
		`{"type":"start","host":"h","time":"2026-01-01T00:00:00Z","schema":2,"fabgo":"9.9.9","mode":"run"}`,
		`{"type":"start","host":"h","time":"2026-01-01T00:00:00Z","schema":2,"fabgo":"9.9.9","mode":{"changed":"shape"}}`,
	} {
		must(t, os.WriteFile(run.file("h"), []byte(first+"\n{\"type\":\"novel\"}\n"), 0o600))
		_, err := run.Read("h")
		if err == nil || !strings.Contains(err.Error(), "its schema is 2") || !strings.Contains(err.Error(), "9.9.9") {
			t.Errorf("got %v", err)
		}
	}
}

func TestFind(t *testing.T) {
	s := Store{t.TempDir()}
	if runs, err := (Store{filepath.Join(s.Dir, "none")}).Runs(); err != nil || runs != nil {
		t.Errorf("a store that is not there: %v, %v", runs, err)
	}
	if _, err := s.Find("last"); err == nil {
		t.Error("found a run in an empty store")
	}
	for _, id := range []string{"20260102T030405Z-aaaaaa", "20260102T030406Z-bbbbbb", "20270101T000000Z-cccccc", "zzz", "20260102", "x-y"} {
		must(t, os.Mkdir(filepath.Join(s.Dir, id), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(s.Dir, "20280101T000000Z-dddddd"), nil, 0o600)) // no folder
	runs, err := s.Runs()
	if err != nil || len(runs) != 3 || runs[0].ID != "20270101T000000Z-cccccc" || runs[2].ID != "20260102T030405Z-aaaaaa" {
		t.Errorf("got %v, %v", runs, err)
	}
	for id, want := range map[string]string{
		"last":                    "20270101T000000Z-cccccc",
		"2027":                    "20270101T000000Z-cccccc",
		"20260102T030406Z":        "20260102T030406Z-bbbbbb",
		"20260102T030405Z-aaaaaa": "20260102T030405Z-aaaaaa",
		"bbbbbb":                  "20260102T030406Z-bbbbbb",
	} {
		if r, err := s.Find(id); err != nil || r.ID != want || r.Dir() != filepath.Join(s.Dir, want) {
			t.Errorf("Find(%q) = %v, %v, want %s", id, r, err, want)
		}
	}
	for id, want := range map[string]string{"2026": "beginning or the end of 2", "": "no run", "../x": "no run", "zzz": "no run", "2030": "no run"} {
		if r, err := s.Find(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Find(%q) = %v, %v, want %s", id, r, err, want)
		}
	}
}

func TestRunsSortByAge(t *testing.T) {
	s := Store{t.TempDir()}
	var ids []string
	for i := range 3 {
		r, err := s.NewRun(noon.Add(time.Duration(i) * time.Hour).In(time.FixedZone("far", -9*3600)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	a, _ := s.NewRun(noon)
	b, _ := s.NewRun(noon)
	if a.ID == b.ID {
		t.Error("two runs of one second are one")
	}
	if last, err := s.Find("last"); err != nil || last.ID != ids[2] {
		t.Errorf("the latest is %v, %v, want %s", last, err, ids[2])
	}
}

func TestBlobs(t *testing.T) {
	run := newRun(t)
	w := newWriter(t, run, "web1")
	small, big := transport.String("hello"), transport.Source("sha256:big", KeepLimit+1, func() (io.ReadCloser, error) {
		t.Error("a content above the limit was read")
		return nil, fs.ErrInvalid
	})
	named := transport.Content{Digest: "sha256:named", Size: 3}
	for _, c := range []transport.Content{small, small, big, named} {
		must(t, w.Keep(c))
	}
	got, err := run.Blob(transport.Content{Digest: small.Digest, Size: small.Size}).ReadAll(100)
	if err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if run.Blob(named).Known() {
		t.Error("a content that was not kept came back")
	}
	es, err := os.ReadDir(filepath.Join(run.Dir(), "blobs"))
	if err != nil || len(es) != 1 {
		t.Errorf("%d blobs, %v", len(es), err)
	}
	must(t, os.WriteFile(run.blob(small.Digest), []byte("HELLO"), 0o600))
	if _, err := run.Blob(transport.Content{Digest: small.Digest, Size: small.Size}).ReadAll(100); err == nil {
		t.Error("a damaged blob was taken for the content")
	}
	lying := transport.Source("sha256:lie", 3, transport.String("xxxx").Open)
	if err := w.Keep(lying); err == nil {
		t.Error("a content that is not what its digest says was kept")
	}
	if es, _ := os.ReadDir(filepath.Join(run.Dir(), "blobs")); len(es) != 1 {
		t.Errorf("%d blobs after a failed Keep", len(es))
	}
}

// TestCrash: the process dies without a flush. Whatever was sent by then is in the file as an intent.
func TestCrash(t *testing.T) {
	run := newRun(t)
	w, err := run.Writer("web1")
	must(t, err)
	all := samples()
	start, begin, intent, outcome := all[0], all[1], all[2], all[3]
	for _, r := range []Record{start, begin, outcome, intent} {
		must(t, w.Record(r))
	}
	read := func(want ...Record) {
		t.Helper()
		got, err := run.Read("web1")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("a crash leaves %d records, %v, want %d", len(got), err, len(want))
		}
	}
	read(start, begin, outcome, intent)
	must(t, w.Record(outcome)) // is in memory only
	read(start, begin, outcome, intent)
	must(t, w.Record(all[4]))
	read(start, begin, outcome, intent, outcome, all[4])
	w.f.Close() // the file is gone: a full disk, say
	must(t, w.Record(outcome))
	if err := w.Record(intent); err == nil {
		t.Error("an intent that was not written was accepted")
	}
	if err := w.Sync(); err == nil {
		t.Error("a sync that failed was accepted")
	}
	read(start, begin, outcome, intent, outcome, all[4])
}
