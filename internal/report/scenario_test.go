package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
)

var update = flag.Bool("update", false, "write golden files")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// story makes the records of a host, one after the other.
type story struct {
	host string
	at   time.Time
	step int
	recs []journal.Record
}

func (s *story) add(step int, b journal.Body) {
	s.at = s.at.Add(10 * time.Millisecond)
	s.recs = append(s.recs, journal.Record{Host: s.host, Time: s.at, Step: step, Body: b})
}

func tell(host string, mode journal.Mode) *story {
	s := &story{host: host, at: noon}
	s.add(0, journal.Start{
		Schema: 1, Run: "20261124T120000Z-a1b2c3", Fabgo: "0.1.0", Mode: mode, Bundle: "web1.star",
		Tasks: []journal.Task{{Name: "bootstrap_base", Args: []string{"port=7000"}}}, Address: "10.0.0.5:22", User: "root",
	})
	return s
}

// do adds a step, with its ops between begin and end.
func (s *story) do(e journal.End, ops ...transport.Op) {
	s.step++
	s.add(s.step, e.Begin)
	for i, op := range ops {
		raw := json.RawMessage(transport.EncodeOp(op))
		if op.Changes() {
			s.add(s.step, journal.Intent{Index: i, Op: raw, Digest: transport.DigestOf(raw)})
		}
		s.add(s.step, journal.Outcome{Index: i, Op: raw, Digest: transport.DigestOf(raw), Result: json.RawMessage("{}"), Millis: 12})
	}
	s.add(s.step, e)
}

func (s *story) end(v journal.Verdict, err *journal.Failure) {
	counts := map[journal.Status]int{}
	for _, r := range s.recs {
		if e, ok := r.Body.(journal.End); ok && !e.Quiet {
			counts[e.Status]++
		}
	}
	s.add(0, journal.Finish{Status: v, Counts: counts, Error: err, Millis: 4210})
}

func begin(builtin, resource string, line int) journal.Begin {
	return journal.Begin{Builtin: builtin, Resource: resource, Pos: fmt.Sprintf("web1.star:%d:5", line)}
}

const motdDiff = `--- /etc/motd
+++ /etc/motd
@@ -1,3 +1,3 @@
 welcome
--- the old line
+++ the new line
 	tab
`

// aRun has one of everything that goes well.
func aRun(host string, mode journal.Mode) *story {
	s := tell(host, mode)
	quiet := begin("file.stat", "file:/etc/passwd", 3)
	quiet.Quiet = true
	s.do(journal.End{Begin: quiet, Status: journal.OK}, transport.Stat{Path: "/etc/passwd"})
	s.do(journal.End{Begin: begin("pkg.install", "package:git", 4), Status: journal.OK}, transport.Lookup{Table: transport.Packages, Keys: transport.Texts("git")})
	s.do(journal.End{
		Begin: begin("pkg.install", "package:nginx,postgresql", 5), Status: journal.Changed, Changed: true, Millis: 8123,
		Diff: []journal.Delta{
			{Object: "package:nginx", From: "absent", To: "installed"}, {Object: "package:nginx", Attr: "version", To: "1.26.0-1"},
			{Object: "package:postgresql", From: "unknown", To: "installed"},
		},
	}, transport.Exec{Argv: transport.Texts("apt-get", "install", "nginx", "a b"), Change: true})
	s.do(journal.End{
		Begin: begin("file.put", "file:/etc/motd", 6), Status: journal.Changed, Changed: true,
		Diff: []journal.Delta{
			{Object: "file:/etc/motd", Attr: "content", From: "12 bytes", To: "30 bytes", Text: motdDiff},
			{Object: "file:/etc/motd", Attr: "mode", From: "0644", To: "0600"},
		},
	}, transport.Write{Path: "/etc/motd", Content: transport.String("x")})
	s.do(journal.End{
		Begin: begin("file.put", "file:/etc/key", 7), Status: journal.Changed, Changed: true,
		Diff: []journal.Delta{{Object: "file:/etc/key", Attr: "content", From: "40 bytes", To: "40 bytes"}},
	})
	s.do(journal.End{
		Begin: begin("file.put", "file:/etc/new", 8), Status: journal.Changed, Changed: true,
		Diff: []journal.Delta{
			{Object: "file:/etc/new", From: "absent", To: "file"},
			{Object: "file:/etc/new", Attr: "content", To: "4 bytes", Text: "--- /dev/null\n+++ /etc/new\n@@ -0,0 +1 @@\n+new\n\\ No newline at end of file\n"},
			{Object: "file:/etc/new", Attr: "owner", To: "www-data"},
		},
	})
	s.do(journal.End{
		Begin: begin("file.sync", "file:/srv/www", 9), Status: journal.Changed, Changed: true,
		Diff: []journal.Delta{
			{Object: "file:/srv/www", From: "absent", To: "dir"}, {Object: "file:/srv/www/a", From: "link", To: "absent"},
			{Object: "user:www", Attr: "gecos", To: "The Web"}, {Object: "user:www", Attr: "shell", From: "/bin/sh", To: ""},
		},
	})
	labelled := begin("run", "run:make install", 10)
	labelled.Label = "build the application"
	s.do(journal.End{Begin: labelled, Status: journal.Changed, Changed: true, Millis: 65_400})
	s.do(journal.End{Begin: begin("run", "run:make\n\tsecond line", 11), Status: journal.Skipped, Because: "/opt/app exists"})
	s.add(0, journal.Note{Text: "two lines\nof a note\n", Pos: "web1.star:12:5"})
	s.do(journal.End{
		Begin: begin("service.reload", "unit:nginx.service", 13), Status: journal.Changed, Changed: true,
		Because: "carried over from run 20261123T120000Z-042a1b2c3: that run did not reach its end", Carried: "20261123T120000Z-042a1b2c3",
	})
	s.do(journal.End{
		Begin: begin("run", "run:make all", 13), Status: journal.Skipped, Changed: true, Carried: "20261123T120000Z-042a1b2c3",
		Because: "creates: /opt/app is there; changed: carried over from run 20261123T120000Z-042a1b2c3: that run did not reach its end",
	})
	if mode == journal.Planning {
		s.do(journal.End{
			Begin: begin("file.line", "file:/etc/nginx/nginx.conf", 14), Status: journal.Unknown, Changed: true,
			Because: "step 3 (pkg.install package:nginx,postgresql, web1.star:5:5)",
			Diff:    []journal.Delta{{Object: "file:/etc/nginx/nginx.conf", From: "unknown", To: "file"}},
		})
	}
	return s
}

func finished(s *story) []journal.Record {
	s.end(journal.Finished, nil)
	return s.recs
}

// aFailure ends with a command that failed.
func aFailure(host string) []journal.Record {
	s := tell(host, journal.Running)
	s.do(journal.End{Begin: begin("pkg.install", "package:nginx", 4), Status: journal.OK})
	f := journal.Failure{
		Message: "systemctl start nginx.service: exit code 1", Command: []string{"systemctl", "start", "nginx.service"}, Code: 1,
		Stderr: "...\nJob for nginx.service failed.\nSee \"journalctl -xe\".\n", Hint: "journalctl -u nginx",
	}
	s.do(journal.End{Begin: begin("service.running", "unit:nginx.service", 5), Status: journal.Failed, Error: &f, Millis: 2500})
	g := f
	g.Message = "service.running unit:nginx.service on " + host + ": " + f.Message
	g.Frames, g.Source = []string{"web1.star:5:5 in bootstrap_base", "web1.star:20:1 in bootstrap_all"}, `    service.running("nginx")`
	s.end(journal.Broken, &g)
	return s.recs
}

// aDeath is what is left when fabgo is killed while a change is under way.
func aDeath(host string) []journal.Record {
	s := tell(host, journal.Running)
	s.do(journal.End{Begin: begin("pkg.install", "package:nginx", 4), Status: journal.OK, Millis: 30})
	s.add(2, begin("file.put", "file:/etc/motd", 6))
	s.add(2, journal.Intent{Op: transport.EncodeOp(transport.Remove{Path: "/x"})})
	return s.recs
}

func aStop(host string, v journal.Verdict, f journal.Failure) []journal.Record {
	s := tell(host, journal.Running)
	s.end(v, &f)
	return s.recs
}

func play(t *testing.T, opts TerminalOptions, hosts ...[]journal.Record) string {
	t.Helper()
	var b bytes.Buffer
	term := NewTerminal(&b, opts)
	if err := Play(term, hosts...); err != nil {
		t.Fatal(err)
	}
	if err := term.Recap(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// golden compares with a file of testdata, where colours are readable.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = string(bytes.ReplaceAll([]byte(got), []byte("\x1b"), []byte("␛")))
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}
