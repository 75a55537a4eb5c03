package builtins

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"fabgo/bundles"
	"fabgo/internal/controller"
	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/internal/secrets"
	"fabgo/interp"
	"fabgo/transport"
)

// stage is a repository with bundles and a host to play them on.
type stage struct {
	t    *testing.T
	host transport.Host
	dir  string
	vars map[string]starlark.Value
	wait bool // pauses are made, not skipped

	sleeping func() // called before a step sleeps

	secret  func(name string) ([]byte, error) // the controller's
	deliver func(name string, c transport.Content) error
	refuse  func(journal.Record) error // the journal's answer to a record

	plays int          // so far
	carry bool         // unsettled changes are kept on the host
	again *performance // to be played again from its journal, with no host

	interp   *interp.Interp // of the folder interpOf: it reads the bundle anew for each play, but executing the prelude is most of the cost of one
	interpOf string
}

// performance is what a play left behind.
type performance struct {
	t       *testing.T
	records []journal.Record
	verdict journal.Verdict
	finish  journal.Finish
	kept    map[transport.Digest]transport.Content
}

// memory is a sink that keeps records.
type memory struct {
	records []journal.Record
	kept    map[transport.Digest]transport.Content
	refuse  func(journal.Record) error
}

func (m *memory) Record(r journal.Record) error {
	m.records = append(m.records, r)
	if m.refuse != nil {
		return m.refuse(r)
	}
	return nil
}
func (m *memory) Keep(c transport.Content) error {
	if m.kept == nil {
		m.kept = map[transport.Digest]transport.Content{}
	}
	m.kept[c.Digest] = c
	return nil
}
func (m *memory) Sync() error { return nil }

func newStage(t *testing.T, h transport.Host) *stage {
	t.Helper()
	return &stage{t: t, host: h, dir: t.TempDir()}
}

// write puts a file beside the bundle.
func (s *stage) write(name, content string) {
	s.t.Helper()
	p := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// play evaluates a bundle and the named tasks.
func (s *stage) play(mode journal.Mode, source string, words ...string) *performance {
	s.t.Helper()
	s.write("bundle.star", source)
	if s.interpOf != s.dir {
		in, err := Interp(interp.Options{Root: s.dir, Fab: bundles.Fab()})
		if err != nil {
			s.t.Fatal(err)
		}
		s.interp, s.interpOf = in, s.dir
	}
	in := s.interp
	b, err := in.Open(filepath.Join(s.dir, "bundle.star"))
	if err != nil {
		s.t.Fatal(err)
	}
	tasks, err := b.ParseTasks(words)
	if err != nil {
		s.t.Fatal(err)
	}
	ctl := &controller.Controller{Root: s.dir, Override: filepath.Join(s.dir, "override"), Now: func() time.Time { return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) }, Secret: s.secret}
	sink := &memory{refuse: s.refuse}
	clock := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	rec := journal.NewRecorder("web1", secrets.Over(ctl.Over(s.host)), func() time.Time { clock = clock.Add(time.Millisecond); return clock }, sink)
	s.plays++
	play := Play{
		Interp: in, Bundle: b, Tasks: tasks, Vars: s.vars, Mode: mode, Recorder: rec,
		Info: converge.Info{Name: "web1", Address: "local", User: "root", Acting: "root"},
		Sleep: func(_ context.Context, d time.Duration) error {
			if s.sleeping != nil {
				s.sleeping()
			}
			if s.wait {
				time.Sleep(d)
			}
			return nil
		},
		Deliver: s.deliver,
		Start:   journal.Start{Run: fmt.Sprintf("r%d", s.plays)},
	}
	if s.carry {
		play.Ledger = converge.NewLedger(s.host, converge.LedgerOptions{Bundle: b.Name(), User: "root"})
	}
	if then := s.again; then != nil {
		from := journal.NewReplay(then.records, func(c transport.Content) transport.Content {
			if k, ok := then.kept[c.Digest]; ok {
				return k
			}
			return c
		})
		start, _ := journal.StartOf(then.records)
		play.Ledger, play.Start.Run, play.Replaying = converge.ReplayLedger{Start: start, Unkept: from.Unkept}, start.Run, true
		play.Recorder = journal.NewRecorder("web1", from, func() time.Time { return clock }, sink, from)
	}
	verdict, err := play.Run(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	p := &performance{t: s.t, records: sink.records, verdict: verdict, kept: sink.kept}
	p.finish = sink.records[len(sink.records)-1].Body.(journal.Finish)
	return p
}

func (s *stage) plan(source string, words ...string) *performance {
	s.t.Helper()
	return s.play(journal.Planning, source, words...)
}

func (s *stage) run(source string, words ...string) *performance {
	s.t.Helper()
	return s.play(journal.Running, source, words...)
}

// ok demands that the session ended well.
func (p *performance) ok() *performance {
	p.t.Helper()
	if p.verdict != journal.Finished {
		p.t.Fatalf("the session ended %s: %+v", p.verdict, p.finish.Error)
	}
	return p
}

// fails demands that it ended with this verdict and that its error holds text.
func (p *performance) fails(v journal.Verdict, text string) *performance {
	p.t.Helper()
	if p.verdict != v || p.finish.Error == nil || !strings.Contains(p.finish.Error.Message+"\n"+p.finish.Error.Hint+"\n"+p.finish.Error.Stderr, text) {
		p.t.Fatalf("the session ended %s with %+v, want %s with %q", p.verdict, p.finish.Error, v, text)
	}
	return p
}

// ends are the ends of the steps that are not quiet.
func (p *performance) ends() []journal.End {
	var out []journal.End
	for _, r := range p.records {
		if e, ok := r.Body.(journal.End); ok && !e.Quiet {
			out = append(out, e)
		}
	}
	return out
}

// status lists the steps that are not quiet, one in a line: "file.put file:/etc/motd changed".
func (p *performance) status() string {
	var lines []string
	for _, e := range p.ends() {
		lines = append(lines, e.Builtin+" "+e.Resource+" "+string(e.Status))
	}
	return strings.Join(lines, "\n")
}

// notes are the texts of the notes.
func (p *performance) notes() string {
	var lines []string
	for _, r := range p.records {
		if n, ok := r.Body.(journal.Note); ok {
			lines = append(lines, n.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// changedResources names what changed or, in a plan, may.
func (p *performance) changedResources() []string {
	var out []string
	for _, e := range p.ends() {
		if e.Changed {
			out = append(out, e.Builtin+" "+e.Resource)
		}
	}
	return out
}

// law plays a bundle as every resource must let it be played: the plan touches nothing and predicts what the run does, with the same
// differences; the run changes something; then both a plan and a run find nothing left to do. snapshot, when not nil, gives the state of
// the host in any form that can be compared.
func (s *stage) law(source string, snapshot func() string) (first *performance) {
	s.t.Helper()
	snap := func() string {
		if snapshot == nil {
			return ""
		}
		return snapshot()
	}
	before := snap()
	plan := s.plan(source).ok()
	if after := snap(); after != before {
		s.t.Fatalf("the plan changed the host:\nbefore\n%s\nafter\n%s", before, after)
	}
	for _, r := range plan.records {
		if _, ok := r.Body.(journal.Intent); ok {
			s.t.Fatalf("the plan sent a change: %+v", r.Body)
		}
	}
	run := s.run(source).ok()
	if got, want := strings.Join(run.changedResources(), "\n"), strings.Join(plan.changedResources(), "\n"); got != want {
		s.t.Fatalf("plan and run differ.\nthe plan said:\n%s\nthe run changed:\n%s", want, got)
	}
	for i, e := range run.ends() {
		p := plan.ends()[i]
		if p.Status != journal.Unknown && differences(p.Diff) != differences(e.Diff) {
			s.t.Fatalf("%s %s: plan and run differ.\nthe plan said:\n%s\nthe run did:\n%s", e.Builtin, e.Resource, differences(p.Diff), differences(e.Diff))
		}
	}
	if len(run.changedResources()) == 0 {
		s.t.Fatalf("the first run changed nothing:\n%s", run.status())
	}
	for name, again := range map[string]*performance{"plan": s.plan(source).ok(), "run": s.run(source).ok()} {
		if left := again.changedResources(); len(left) > 0 {
			s.t.Fatalf("the %s after the run still changes:\n%s", name, strings.Join(left, "\n"))
		}
	}
	return run
}

func differences(ds []journal.Delta) string {
	var lines []string
	for _, d := range ds {
		lines = append(lines, d.Object+" "+d.Attr+": "+d.From+" -> "+d.To+" "+d.Text)
	}
	return strings.Join(lines, "\n")
}
