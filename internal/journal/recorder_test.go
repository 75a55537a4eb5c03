package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fabgo/transport"
)

// tape is a sink in memory.
type tape struct {
	recs  []Record
	kept  []transport.Digest
	syncs []int // len(recs) at each Sync
	fail  func(Record) error
	stuck error // of Keep and Sync
}

func (s *tape) Record(r Record) error {
	if s.fail != nil {
		if err := s.fail(r); err != nil {
			return err
		}
	}
	s.recs = append(s.recs, r)
	return nil
}

func (s *tape) Keep(c transport.Content) error {
	s.kept = append(s.kept, c.Digest)
	return s.stuck
}

func (s *tape) Sync() error {
	s.syncs = append(s.syncs, len(s.recs))
	return s.stuck
}

// types lists the record types so far: "start step op end".
func (s *tape) types() string {
	var out []string
	for _, r := range s.recs {
		out = append(out, r.Body.Type())
	}
	return strings.Join(out, " ")
}

// clock ticks a second a look.
func clock() func() time.Time {
	at := noon
	return func() time.Time { at = at.Add(time.Second); return at }
}

// fakeHost answers a small world.
func fakeHost() transport.Host {
	return transport.HostFunc(func(_ context.Context, op transport.Op) (transport.Result, error) {
		switch op := op.(type) {
		case transport.Stat:
			return transport.FileInfo{Type: transport.Regular, Mode: "0644", Owner: "root", Group: "root"}, nil
		case transport.Read:
			if op.Path == "/secret" {
				return nil, &transport.Error{Kind: transport.Denied, Message: "read /secret: permission denied", Path: "/secret", Hint: "be root", Stderr: "cat: no"}
			}
			return transport.Data{Content: transport.String("content of " + string(op.Path))}, nil
		case transport.Write:
			return transport.Written{}, nil
		case transport.Exec:
			return transport.Output{Code: 3, Stdout: "out\xff"}, nil
		case transport.Remove:
			return nil, fmt.Errorf("remove: %w", context.Canceled)
		case transport.Link:
			return nil, errors.New("link: something plain")
		case transport.Mkdir:
			return nil, fmt.Errorf("around: %w", &transport.Error{Kind: transport.NoSpace, Message: "mkdir: full", Hint: "make room", Stderr: "x"})
		}
		return nil, errors.New("not in this world")
	})
}

func TestIntentComesFirst(t *testing.T) {
	s := &tape{}
	var r *Recorder
	sent := 0
	host := transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
		sent++
		last, ok := s.recs[len(s.recs)-1].Body.(Intent)
		if op.Changes() != (ok && last.Digest == transport.DigestOp(op)) {
			t.Errorf("%s reached the host after %s", op.Kind(), s.types())
		}
		return fakeHost().Do(ctx, op)
	})
	r = NewRecorder("web1", host, clock(), s)
	ctx := context.Background()
	must(t, r.Start(Start{Mode: Running}))
	if _, err := r.Begin(Begin{Builtin: "file.put"}); err != nil {
		t.Fatal(err)
	}
	w := transport.Write{Path: "/a", Content: transport.String("new")}
	for _, op := range []transport.Op{transport.Stat{Path: "/a"}, w, transport.Exec{Argv: transport.Texts("true")}, transport.Exec{Argv: transport.Texts("true"), Change: true}} {
		if _, err := r.Do(ctx, op); err != nil {
			t.Fatal(err)
		}
	}
	must(t, r.End(End{Status: Changed, Changed: true}))
	if sent != 4 {
		t.Errorf("%d ops reached the host, want 4", sent)
	}
	if got, want := s.types(), "start step op intent op op intent op end"; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
	if got := s.recs[3].Body.(Intent); got.Index != 1 || string(got.Op) != string(transport.EncodeOp(w)) {
		t.Errorf("intent %+v", got)
	}
	if o := s.recs[4].Body.(Outcome); o.Index != 1 || o.Millis != 1000 || string(o.Result) != "{}" {
		t.Errorf("outcome %+v", o)
	}
	if e := s.recs[8].Body.(End); e.Builtin != "file.put" || e.Millis <= 0 || s.recs[8].Step != 1 {
		t.Errorf("end %+v", e)
	}
	if len(s.kept) != 1 || s.kept[0] != w.Content.Digest {
		t.Errorf("kept %v", s.kept)
	}
}

func TestWhatCannotBeRecordedIsNotSent(t *testing.T) {
	full := errors.New("disk full")
	for name, s := range map[string]*tape{
		"intent":  {fail: func(r Record) error { return onType(r, "intent", full) }},
		"content": {stuck: full},
	} {
		t.Run(name, func(t *testing.T) {
			host := transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) {
				t.Error("the change reached the host")
				return transport.Written{}, nil
			})
			r := NewRecorder("web1", host, clock(), s)
			if _, err := r.Begin(Begin{Builtin: "file.put"}); err != nil {
				t.Fatal(err)
			}
			_, err := r.Do(context.Background(), transport.Write{Path: "/a", Content: transport.String("x")})
			if !errors.Is(err, full) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOutcomeThatCannotBeRecorded(t *testing.T) {
	full := errors.New("disk full")
	s := &tape{fail: func(r Record) error { return onType(r, "op", full) }}
	r := NewRecorder("web1", fakeHost(), clock(), s)
	if _, err := r.Do(context.Background(), transport.Stat{Path: "/a"}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// TestEverySinkHears: an output whose reader has gone must not keep the end of the run from the journal on disk.
func TestEverySinkHears(t *testing.T) {
	gone := errors.New("broken pipe")
	bad, good := &tape{fail: func(Record) error { return gone }, stuck: gone}, &tape{}
	r := NewRecorder("web1", fakeHost(), clock(), bad, good)
	if err := r.Finish(Finish{Status: Interrupted}); err != gone {
		t.Errorf("got %v, want the sink's own error", err)
	}
	if good.types() != "finish" {
		t.Errorf("the second sink heard %q", good.types())
	}
	if err := r.sync(); !errors.Is(err, gone) || len(good.syncs) != 1 {
		t.Errorf("got %v, %d syncs", err, len(good.syncs))
	}
}

func TestHiddenIsNotKept(t *testing.T) {
	s := &tape{}
	r := NewRecorder("web1", fakeHost(), clock(), s)
	secret := transport.String("content of /key")
	r.Hide(secret)
	ctx := context.Background()
	for _, op := range []transport.Op{
		transport.Write{Path: "/key", Content: secret},
		transport.Read{Path: "/key"}, // answers the same bytes
		transport.Read{Path: "/open"},
	} {
		if _, err := r.Do(ctx, op); err != nil {
			t.Fatal(err)
		}
	}
	if want := transport.String("content of /open").Digest; len(s.kept) != 1 || s.kept[0] != want {
		t.Errorf("kept %v, want only %s", s.kept, want)
	}
	if !strings.Contains(string(s.recs[0].Body.(Intent).Op), string(secret.Digest)) {
		t.Error("the hidden content is not named")
	}
}

func TestSync(t *testing.T) {
	s := &tape{}
	r := NewRecorder("web1", fakeHost(), clock(), s)
	ctx := context.Background()
	step := func(op transport.Op) {
		t.Helper()
		if _, err := r.Begin(Begin{Builtin: "x"}); err != nil {
			t.Fatal(err)
		}
		r.Do(ctx, op)
		must(t, r.End(End{Status: OK}))
	}
	step(transport.Stat{Path: "/a"})
	if len(s.syncs) != 0 {
		t.Error("a step that only looked was synced")
	}
	step(transport.Exec{Argv: transport.Texts("reboot"), Change: true})
	if len(s.syncs) != 1 || s.syncs[0] != len(s.recs) {
		t.Errorf("synced at %v of %d records: the end of the step must be on disk", s.syncs, len(s.recs))
	}
	step(transport.Stat{Path: "/a"})
	must(t, r.Finish(Finish{Status: Finished}))
	if len(s.syncs) != 2 || s.syncs[1] != len(s.recs) {
		t.Errorf("synced at %v of %d records: the end of the session must be on disk", s.syncs, len(s.recs))
	}
}

func TestCounts(t *testing.T) {
	s := &tape{}
	r := NewRecorder("web1", fakeHost(), clock(), s)
	for _, c := range []struct {
		quiet  bool
		status Status
	}{{false, OK}, {false, OK}, {true, OK}, {false, Changed}, {true, Failed}, {true, Unknown}, {false, Skipped}} {
		r.Begin(Begin{Quiet: c.quiet})
		must(t, r.End(End{Status: c.status}))
	}
	must(t, r.Finish(Finish{}))
	got := s.recs[len(s.recs)-1].Body.(Finish).Counts
	if fmt.Sprint(got) != "map[changed:1 failed:1 ok:2 skipped:1 unknown:1]" {
		t.Errorf("got %v", got)
	}
}

// TestErrorsAsKept: the session sees the very error that its replay will see, so that both go the same way.
func TestErrorsAsKept(t *testing.T) {
	s := &tape{}
	r := NewRecorder("web1", fakeHost(), clock(), s)
	for _, c := range []struct {
		op   transport.Op
		want transport.Error
	}{
		{transport.Read{Path: "/secret"}, transport.Error{Kind: transport.Denied, Message: "read /secret: permission denied", Path: "/secret", Hint: "be root", Stderr: "cat: no"}},
		{transport.Link{Path: "/l"}, transport.Error{Kind: transport.IO, Message: "link: something plain"}},
		{transport.Remove{Path: "/r"}, transport.Error{Kind: transport.Interrupted, Message: "remove: context canceled"}},
		{transport.Mkdir{Path: "/m"}, transport.Error{Kind: transport.NoSpace, Message: "around: mkdir: full", Hint: "make room", Stderr: "x"}},
	} {
		_, err := r.Do(context.Background(), c.op)
		e, ok := errors.AsType[*transport.Error](err)
		if !ok {
			t.Fatalf("%s: got %T", c.op.Kind(), err)
		}
		got := *e
		got.Err = nil
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.op.Kind(), got, c.want)
		}
		line, _ := compact(s.recs[len(s.recs)-1])
		var back Record
		must(t, json.Unmarshal(line, &back))
		if kept := *back.Body.(Outcome).Error; kept != c.want {
			t.Errorf("%s: kept %+v, want %+v", c.op.Kind(), kept, c.want)
		}
	}
	if _, err := r.Do(context.Background(), transport.Remove{Path: "/r"}); !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is gone: %v", err)
	}
}

func onType(r Record, typ string, err error) error {
	if r.Body.Type() == typ {
		return err
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
