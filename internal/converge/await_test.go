package converge

import (
	"context"
	"errors"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// appears is a wait for a file that each pause brings nearer.
type appears struct {
	f     *fake.Fake
	after int
	looks int
}

func (w *appears) Name() string { return "wait:/x" }

func (w *appears) Look(ctx context.Context, h transport.Host) (bool, string, error) {
	w.looks++
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: "/x"})
	return fi.Type == transport.Regular, "there is no /x", err
}

func (w *appears) Again(why string) error {
	if w.after--; w.after == 0 {
		w.f.WriteFile("/x", "", "0644")
	}
	if w.after < 0 {
		return errors.New("in vain: " + why)
	}
	return nil
}

func TestAwait(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   journal.Mode
		after  int
		looks  int
		status journal.Status
	}{
		{"comes", journal.Running, 3, 4, journal.OK},
		{"does not come", journal.Running, 0, 1, journal.Failed},
		{"a plan looks once", journal.Planning, 3, 1, journal.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fake.New(fake.Options{})
			s, m := newSession(t, f, c.mode)
			w := &appears{f: f, after: c.after}
			err := s.Await(Step{Builtin: "wait.test"}, w)
			if e := m.end(t); e.Status != c.status || e.Changed || w.looks != c.looks || (err != nil) != (c.status == journal.Failed) {
				t.Errorf("ended %+v after %d looks: %v", e, w.looks, err)
			}
			if c.status == journal.Unknown && m.end(t).Because != "there is no /x" {
				t.Errorf("the plan says %q", m.end(t).Because)
			}
		})
	}
}

func TestAwaitStops(t *testing.T) {
	f := fake.New(fake.Options{})
	s, m := newSession(t, f, journal.Running)
	ctx, cancel := context.WithCancelCause(t.Context())
	s.ctx = ctx
	w := &appears{f: f, after: 1000}
	cancelling := waits{w, func() { cancel(errors.New("Ctrl-C")) }}
	err := s.Await(Step{Builtin: "wait.test"}, cancelling)
	if transport.KindOf(err) != transport.Interrupted || w.looks != 1 || m.end(t).Status != journal.Failed {
		t.Errorf("got %v after %d looks", err, w.looks)
	}
}

// waits does something at each pause.
type waits struct {
	*appears
	pause func()
}

func (w waits) Again(why string) error {
	w.pause()
	return w.appears.Again(why)
}
