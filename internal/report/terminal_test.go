package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
)

func TestTerminal(t *testing.T) {
	run, plan := finished(aRun("web1", journal.Running)), finished(aRun("web1", journal.Planning))
	for name, c := range map[string]struct {
		opts  TerminalOptions
		hosts [][]journal.Record
	}{
		"run":         {TerminalOptions{}, [][]journal.Record{run}},
		"run-color":   {TerminalOptions{Color: true, Diff: true}, [][]journal.Record{run}},
		"run-v":       {TerminalOptions{Verbosity: 1}, [][]journal.Record{run}},
		"run-vv":      {TerminalOptions{Verbosity: 2}, [][]journal.Record{run}},
		"run-q":       {TerminalOptions{Verbosity: -1}, [][]journal.Record{run, aFailure("db1")}},
		"plan":        {TerminalOptions{}, [][]journal.Record{plan}},
		"plan-color":  {TerminalOptions{Color: true}, [][]journal.Record{plan}},
		"plan-diff":   {TerminalOptions{Diff: true}, [][]journal.Record{plan}},
		"plan-narrow": {TerminalOptions{Width: 40, Hosts: []string{"web1", "db"}}, [][]journal.Record{plan, finished(tell("db", journal.Planning))}},
		"failed":      {TerminalOptions{}, [][]journal.Record{aFailure("web1")}},
		"hosts": {TerminalOptions{Hosts: []string{"web1", "a", "db1.example.com", "gone", "dead", "off", "bad"}}, [][]journal.Record{
			run, finished(tell("a", journal.Running)), aFailure("db1.example.com"), aDeath("dead"),
			aStop("off", journal.Unreachable, journal.Failure{Kind: transport.Unreachable, Message: "dial off (10.0.0.9:22): connection refused", Hint: "is sshd running?"}),
			aStop("bad", journal.Invalid, journal.Failure{Message: "undefined: foo\nsecond line", Frames: []string{"web1.star:3:1"}, Source: "foo()"}),
		}},
		"stopped": {TerminalOptions{Color: true}, [][]journal.Record{
			stopped(), aStop("b", journal.Interrupted, journal.Failure{Message: "interrupted"}),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, play(t, c.opts, c.hosts...))
		})
	}
}

// stopped is a plan that ends where a bundle reads what only the run can know.
func stopped() []journal.Record {
	s := tell("web1", journal.Planning)
	quiet := begin("query", "query:cat /x", 5)
	quiet.Quiet = true
	because := "the output of query is not known before the run, because of step 1 (run run:make, web1.star:4:5)"
	s.do(journal.End{Begin: quiet, Status: journal.Unknown, Because: because})
	s.end(journal.Partial, &journal.Failure{Message: because, Frames: []string{"web1.star:5:5"}, Source: `query("cat /x")`})
	return s.recs
}

func TestQuietAboutWhatIsWell(t *testing.T) {
	if got := play(t, TerminalOptions{Verbosity: -1}, finished(aRun("web1", journal.Running))); got != "" {
		t.Errorf("-q of a good run printed %q", got)
	}
}

// TestManyObjects: a tree of 10,000 files does not bury the other steps, unless one asks for it.
func TestManyObjects(t *testing.T) {
	s := tell("web1", journal.Running)
	var ds []journal.Delta
	for i := range 10_000 {
		o := fmt.Sprintf("file:/srv/%d", i)
		ds = append(ds, journal.Delta{Object: o, From: "absent", To: "file"}, journal.Delta{Object: o, Attr: "mode", To: "0644"})
	}
	s.do(journal.End{Begin: begin("file.sync", "file:/srv", 1), Status: journal.Changed, Changed: true, Diff: ds})
	got := play(t, TerminalOptions{}, finished(s))
	if n := strings.Count(got, "\n"); n > objectLimit+5 || !strings.Contains(got, "and 9980 objects more") {
		t.Errorf("%d lines: %s", n, got)
	}
	if n := strings.Count(play(t, TerminalOptions{Verbosity: 1}, s.recs), "created"); n != 10_000 {
		t.Errorf("-v lists %d", n)
	}
}

// TestLinesStayTogether feeds one printer from several sessions, under the race detector.
func TestLinesStayTogether(t *testing.T) {
	var b bytes.Buffer
	var hosts []string
	for i := range 8 {
		hosts = append(hosts, fmt.Sprintf("host%d", i))
	}
	term := NewTerminal(&b, TerminalOptions{Hosts: hosts, Live: true, Width: 80})
	var all sync.WaitGroup
	for _, h := range hosts {
		all.Go(func() {
			for _, r := range finished(aRun(h, journal.Running)) {
				if err := term.Record(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := term.Recap(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.ReplaceAll(b.String(), eraseLine, ""), "\n")
	for i, l := range lines {
		host, rest, _ := strings.Cut(l, " ")
		if strings.HasPrefix(rest, "changed  file.put /etc/motd") && lines[i+1] != host+"     content +1 -1, mode 0644 -> 0600" {
			t.Errorf("%q is followed by %q", l, lines[i+1])
		}
	}
	if n := strings.Count(b.String(), "changed  file.put /etc/motd"); n != len(hosts) {
		t.Errorf("%d hosts printed", n)
	}
}

// after fails every write behind the first n.
type after struct {
	n    int
	err  error
	text bytes.Buffer
}

func (w *after) Write(b []byte) (int, error) {
	if w.n--; w.n < 0 {
		return 0, w.err
	}
	return w.text.Write(b)
}

func TestReaderGone(t *testing.T) {
	recs := finished(aRun("web1", journal.Running))
	pipe := &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
	for name, make := range map[string]func(io.Writer) journal.Sink{
		"terminal": func(w io.Writer) journal.Sink { return NewTerminal(w, TerminalOptions{}) },
		"json":     func(w io.Writer) journal.Sink { return NewJSON(w, JSONOptions{}) },
	} {
		w := &after{n: 2, err: pipe}
		sink := make(w)
		if err := Play(sink, recs); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v", name, err)
		}
		size := w.text.Len()
		w.n = 100
		if err := sink.Record(recs[len(recs)-1]); !errors.Is(err, ErrClosed) || w.text.Len() != size {
			t.Errorf("%s: wrote after an error: %v", name, err)
		}
		full := errors.New("disk full")
		if err := Play(make(&after{err: full}), recs); !errors.Is(err, full) || errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := Problems(&after{err: pipe}, false, Problem{Message: "x"}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := RunTable(&after{err: pipe}, TableOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestPlayOrder(t *testing.T) {
	a, b := finished(aRun("a", journal.Running)), finished(aRun("b", journal.Running))
	var got []string
	sink := sinkFunc(func(r journal.Record) error { got = append(got, r.Host+r.Body.Type()); return nil })
	if err := Play(sink, a, b); err != nil || len(got) != len(a)+len(b) || got[0] != "astart" || got[1] != "bstart" {
		t.Errorf("got %q, %v", got, err)
	}
}

type sinkFunc func(journal.Record) error

func (f sinkFunc) Record(r journal.Record) error { return f(r) }
func (sinkFunc) Keep(transport.Content) error    { return nil }
func (sinkFunc) Sync() error                     { return nil }

// TestPlannedWithoutRoot: a plan cannot see what only root may do, and says so where it matters.
func TestPlannedWithoutRoot(t *testing.T) {
	for _, c := range []struct {
		user   string
		mode   journal.Mode
		status journal.Status
		want   bool
	}{
		{"deploy", journal.Planning, journal.Changed, true},
		{"deploy", journal.Planning, journal.Unknown, true},
		{"deploy", journal.Planning, journal.OK, false},
		{"deploy", journal.Running, journal.Changed, false},
		{"root", journal.Planning, journal.Changed, false},
	} {
		s := tell("web1", c.mode)
		start := s.recs[0].Body.(journal.Start)
		start.User = c.user
		s.recs[0].Body = start
		s.do(journal.End{Begin: journal.Begin{Builtin: "file.put", Resource: "file:/etc/motd"}, Status: c.status})
		s.end(journal.Finished, nil)
		out := play(t, TerminalOptions{}, s.recs)
		if strings.Contains(out, "planned as "+c.user+", not as root") != c.want {
			t.Errorf("%+v:\n%s", c, out)
		}
	}
}
