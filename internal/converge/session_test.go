package converge

import (
	"context"
	"errors"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// action is an Action whose parts a test chooses.
type action struct {
	needed error
	skip   string
	do     func(context.Context, transport.Host) error
	effect Effect
}

func (a *action) Name() string { return "act:x" }

func (a *action) Needed(context.Context, transport.Host) (bool, string, error) {
	return a.skip == "", a.skip, a.needed
}

func (a *action) Do(ctx context.Context, h transport.Host) error {
	if a.do == nil {
		return nil
	}
	return a.do(ctx, h)
}

func (a *action) Effect() Effect { return a.effect }

func TestConvergeTwice(t *testing.T) {
	f := fake.New(fake.Options{})
	s, sink := newSession(t, f, journal.Running)
	for i, want := range []journal.Status{journal.Changed, journal.OK} {
		c, err := s.Converge(step, files{want: []Object{regular("/etc/motd2", "hi\n")}})
		if err != nil || c.Status != want || c.Changed != (i == 0) || c.Step != i+1 || c.Resource != "file:/etc/motd2" {
			t.Errorf("%d: %+v, %v", i, c, err)
		}
		if e := sink.end(t); e.Status != want || e.Builtin != "test.step" {
			t.Errorf("recorded %+v", e)
		}
	}
	if got, _ := f.ReadFile("/etc/motd2"); got != "hi\n" {
		t.Errorf("the file holds %q", got)
	}
}

// TestVerificationIsLoud: a resource that says it did what it did not is found out.
func TestVerificationIsLoud(t *testing.T) {
	s, sink := newSession(t, fake.New(fake.Options{}), journal.Running)
	_, err := s.Converge(step, files{want: []Object{regular("/etc/motd2", "hi\n")}, lazy: true})
	se, ok := errors.AsType[*StepError](err)
	if !ok || !strings.Contains(err.Error(), `did not converge: after the change file:/etc/motd2 is "absent" instead of "file"`) {
		t.Fatalf("%v", err)
	}
	if se.Step != 1 || se.Builtin != "test.step" || se.Pos != "web1.star:1:1" || se.Host != "web1" || se.Resource != "file:/etc/motd2" || !ErrAttemptable(err) {
		t.Errorf("%+v", se)
	}
	if e := sink.end(t); e.Status != journal.Failed || e.Changed || e.Error == nil {
		t.Errorf("recorded %+v", e)
	}
}

func TestStepWithinStep(t *testing.T) {
	s, _ := newSession(t, fake.New(fake.Options{}), journal.Running)
	_, err := s.Act(step, &action{do: func(context.Context, transport.Host) error {
		_, err := s.Act(step, &action{})
		return err
	}})
	if err == nil || !strings.Contains(err.Error(), "a step was opened within a step") {
		t.Errorf("%v", err)
	}
	if _, err := s.Act(step, &action{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestJournalFails: what cannot be written down is not done.
func TestJournalFails(t *testing.T) {
	f := fake.New(fake.Options{})
	s, sink := newSession(t, f, journal.Running)
	sink.fail = errors.New("disk full")
	if _, err := s.Converge(step, files{want: []Object{regular("/etc/motd2", "hi\n")}}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("%v", err)
	}
	if _, ok := f.ReadFile("/etc/motd2"); ok {
		t.Error("the change was made")
	}
	sink.fail = nil
	if _, err := s.Act(step, &action{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestWrongTypes(t *testing.T) {
	f := fake.New(fake.Options{})
	f.MakeDir("/srv/dir/full", "0755")
	f.MakeDir("/srv/empty", "0755")
	f.WriteFile("/srv/file", "x", "0644")
	for path, target := range map[transport.Path]transport.Text{"/srv/link": "/srv/file", "/srv/masked": "/dev/null"} {
		if _, err := f.Do(t.Context(), transport.Link{Path: path, Target: target}); err != nil {
			t.Fatal(err)
		}
	}
	replacing := func(o Object) Object { o.File.Replace = true; return o }
	bare := regular("/srv/none", "")
	bare.File.Content = nil
	for _, mode := range []journal.Mode{journal.Planning, journal.Running} {
		s, _ := newSession(t, f, mode)
		for _, c := range []struct {
			want       Object
			text, hint string
		}{
			{regular("/srv/dir", "x"), "there is a folder in its place, not a file", `file.absent("/srv/dir", recursive = True)`},
			{dir("/srv/file"), "there is a file in its place, not a folder", `file.absent("/srv/file")`},
			{regular("/srv/link", "x"), "it is a symlink to /srv/file", "follow = True"},
			{regular("/srv/masked", "x"), "it is a symlink to /dev/null", "service.unmasked"},
			{replacing(regular("/srv/dir", "x")), "which is not empty", "recursive = True"},
			{regular("/srv/none/x", "x"), "there is no folder /srv/none", `file.dir("/srv/none")`},
			{regular("/srv/file/x", "x"), "/srv/file is a file, not a folder", ""},
			{bare, "no such file", ""},
		} {
			_, err := s.Converge(step, files{want: []Object{c.want}})
			se, ok := errors.AsType[*StepError](err)
			if !ok || !(strings.Contains(err.Error(), c.text) || mode == journal.Running && strings.Contains(err.Error(), "not a folder")) || !strings.Contains(se.Failure.Hint, c.hint) {
				t.Errorf("%s %s: %v (hint %+v)", mode, c.want.Key, err, se)
			}
		}
		if _, err := s.Converge(step, files{want: []Object{replacing(regular("/srv/empty", "x"))}}); err != nil {
			t.Errorf("%s: an empty folder makes way: %v", mode, err)
		}
	}
}

func TestFollowedFileKeepsItsLink(t *testing.T) {
	f := fake.New(fake.Options{})
	f.WriteFile("/srv/file", "x", "0644")
	if _, err := f.Do(t.Context(), transport.Link{Path: "/srv/link", Target: "file"}); err != nil {
		t.Fatal(err)
	}
	o := regular("/srv/link", "x")
	o.File.Mode, o.File.Follow = "0600", true
	s, _ := newSession(t, f, journal.Running)
	if c, err := s.Converge(step, files{want: []Object{o}}); err != nil || !c.Changed {
		t.Fatalf("%+v, %v", c, err)
	}
	fi := must[transport.FileInfo](t)(transport.Do[transport.FileInfo](t.Context(), f, transport.Stat{Path: "/srv/file"}))
	if fi.Mode != "0600" {
		t.Errorf("the file's mode is %s", fi.Mode)
	}
}

func TestHiddenContentIsNowhere(t *testing.T) {
	f := fake.New(fake.Options{})
	f.WriteFile("/etc/key", "old secret\n", "0600")
	for _, mode := range []journal.Mode{journal.Planning, journal.Running} {
		s, sink := newSession(t, f, mode)
		o := regular("/etc/key", "new secret\n")
		o.Hidden = true
		c, err := s.Converge(step, files{want: []Object{o}})
		if err != nil || !c.Changed || len(c.Diff) != 1 || c.Diff[0].Text != "" || c.Diff[0].From != "11 bytes" {
			t.Errorf("%s: %+v, %v", mode, c, err)
		}
		if len(sink.kept) > 0 {
			t.Errorf("%s: the journal keeps %v", mode, sink.kept)
		}
	}
}

func TestUnknownSteps(t *testing.T) {
	s, sink := newSession(t, fake.New(fake.Options{}), journal.Planning)
	if _, err := s.Act(Step{Builtin: "run", Pos: "web1.star:3:1"}, &action{effect: Effect{Opaque: true}}); err != nil {
		t.Fatal(err)
	}
	if s.Generation() != 1 {
		t.Error("facts are not asked again after a command")
	}
	c, err := s.Converge(step, files{want: []Object{regular("/etc/motd2", "x")}})
	if err != nil || c.Status != journal.Unknown || !c.Changed || !strings.Contains(c.Because, "step 1 (run act:x, web1.star:3:1)") {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := s.Converge(step, files{want: []Object{regular("/etc/motd2", "x")}}); err != nil || c.Status != journal.OK {
		t.Errorf("once predicted it is known: %+v, %v", c, err)
	}
	u := &Unknown{What: "x", Cause: Cause{Step: 1}}
	if c, err := s.Converge(step, files{want: []Object{absent("/x")}, wantErr: u}); err != nil || c.Status != journal.Unknown {
		t.Errorf("a wanted state that is not known: %+v, %v", c, err)
	}
	if c, err := s.Act(step, &action{needed: u}); err != nil || c.Status != journal.Unknown {
		t.Errorf("a guard that is not known: %+v, %v", c, err)
	}
	if c, err := s.Act(step, &action{effect: Effect{Because: "perhaps"}}); err != nil || c.Status != journal.Unknown || c.Because != "perhaps" {
		t.Errorf("a doubt: %+v, %v", c, err)
	}
	err = s.Observe(step, "x", func(context.Context, transport.Host) error { return u })
	if CauseOf(err) == nil || ErrAttemptable(err) || sink.end(t).Status != journal.Unknown {
		t.Errorf("an observation that is not known: %v", err)
	}
	run, _ := newSession(t, fake.New(fake.Options{}), journal.Running)
	if _, err := run.Converge(step, files{want: []Object{absent("/x")}, wantErr: u}); err == nil {
		t.Error("a run takes an unknown for an answer")
	}
}

func TestActs(t *testing.T) {
	s, sink := newSession(t, fake.New(fake.Options{}), journal.Running)
	if c, err := s.Act(step, &action{skip: "it is there"}); err != nil || c.Status != journal.Skipped || c.Because != "it is there" {
		t.Errorf("%+v, %v", c, err)
	}
	broken := &CommandError{Argv: []string{"make", "all $x"}, Output: transport.Output{Code: 2, Stderr: transport.Text(strings.Repeat("line\n", 40))}, Hint: "h"}
	_, err := s.Act(step, &action{effect: Effect{Opaque: true}, do: func(context.Context, transport.Host) error { return broken }})
	f := sink.end(t).Error
	if err == nil || f == nil || f.Code != 2 || f.Hint != "h" || strings.Count(f.Stderr, "line") != tailLines || f.Message != `make 'all $x': exit code 2` {
		t.Errorf("%v, %+v", err, f)
	}
	if s.Generation() != 1 {
		t.Error("a failed command may have changed things too")
	}
	for kind, attemptable := range map[transport.Kind]bool{transport.Timeout: true, transport.Denied: true, transport.Lost: false, transport.Unreachable: false, transport.Interrupted: false} {
		_, err := s.Act(step, &action{do: func(context.Context, transport.Host) error { return &transport.Error{Kind: kind, Message: "x"} }})
		if ErrAttemptable(err) != attemptable {
			t.Errorf("%s: attemptable %v", kind, !attemptable)
		}
	}
}

func TestEndedSessionBeginsNothing(t *testing.T) {
	s, _ := newSession(t, fake.New(fake.Options{}), journal.Running)
	ctx, cancel := context.WithCancelCause(t.Context())
	s.ctx = ctx
	cancel(errors.New("interrupted by you"))
	_, err := s.Act(step, &action{})
	if transport.KindOf(err) != transport.Interrupted || !strings.Contains(err.Error(), "interrupted by you") {
		t.Errorf("%v", err)
	}
}
