package journal

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"fabgo/transport"
)

// script is a small bundle: what it does is decided by the host's answers, as a bundle's is.
type script struct {
	pos      string // of the second step
	write    string
	resource string
	skip     bool // leave the second step out
	extra    bool // add a step at the end
	deaf     bool // take a non-zero exit for success
	note     string
	vars     string
}

func (s script) play(r *Recorder) error {
	ctx := context.Background()
	if err := r.Start(Start{Mode: Running, Run: r.name, Vars: map[string]json.RawMessage{"v": json.RawMessage(s.vars)}}); err != nil {
		return err
	}
	step := func(b Begin, f func() End) error {
		if _, err := r.Begin(b); err != nil {
			return err
		}
		return r.End(f())
	}
	fail := func(err error) End {
		return End{Status: Failed, Error: &Failure{Kind: transport.KindOf(err), Message: err.Error()}}
	}
	if err := step(Begin{Builtin: "file.read", Resource: "file:/a", Pos: "x.star:1:1", Quiet: true}, func() End {
		d, err := transport.Do[transport.Data](ctx, r, transport.Read{Path: "/a"})
		if err != nil {
			return fail(err)
		}
		text, err := d.Content.ReadAll(100)
		if err != nil || string(text) != "content of /a" {
			return fail(errors.New("not the content of the run"))
		}
		return End{Status: OK}
	}); err != nil {
		return err
	}
	if !s.skip {
		if err := step(Begin{Builtin: "file.put", Resource: s.resource, Pos: s.pos}, func() End {
			if _, err := r.Do(ctx, transport.Write{Path: "/b", Content: transport.String(s.write)}); err != nil {
				return fail(err)
			}
			return End{Status: Unknown, Changed: true, Because: "step 1 (file.read, " + s.pos + ")"}
		}); err != nil {
			return err
		}
	}
	for _, op := range []transport.Op{transport.Read{Path: "/secret"}, transport.Link{Path: "/l"}, transport.Remove{Path: "/r"}} {
		if err := step(Begin{Builtin: op.Kind(), Resource: "odd:\xff", Pos: s.pos}, func() End {
			_, err := r.Do(ctx, op)
			return fail(err)
		}); err != nil {
			return err
		}
	}
	if err := step(Begin{Builtin: "run", Resource: "run:false"}, func() End {
		out, err := transport.Do[transport.Output](ctx, r, transport.Exec{Argv: transport.Texts("false"), Change: true})
		if err != nil {
			return fail(err)
		}
		if out.Code != 0 && !s.deaf {
			return fail(errors.New("exit code 3"))
		}
		return End{Status: Changed, Changed: true}
	}); err != nil {
		return err
	}
	if err := r.Note(Note{Text: s.note, Pos: s.pos}); err != nil {
		return err
	}
	if s.extra {
		if err := step(Begin{Builtin: "note"}, func() End { return End{Status: OK} }); err != nil {
			return err
		}
	}
	return r.Finish(Finish{Status: Broken, Error: &Failure{Message: "at " + s.pos, Frames: []string{s.pos}}})
}

// TestUnkept: what broke beside the recorder breaks again where it did.
func TestUnkept(t *testing.T) {
	broken := &Failure{Kind: transport.NoSpace, Message: "m", Hint: "h", Unkept: true}
	start, begin, other := Record{Body: Start{}}, Record{Body: Begin{Builtin: "run"}}, Record{Body: Outcome{}}
	for name, c := range map[string]struct {
		recs []Record
		at   int
		want bool
	}{
		"opening":         {[]Record{start, {Body: Finish{Error: broken}}}, 0, true},
		"not the opening": {[]Record{start, begin, {Body: End{Error: broken}}}, 0, false},
		"in a step":       {[]Record{start, begin, other, {Body: End{Error: broken}}}, 3, true},
		"not yet":         {[]Record{start, begin, other, {Body: End{Error: broken}}}, 2, false},
		"another failure": {[]Record{start, begin, {Body: End{Error: &Failure{Message: "m"}}}}, 2, false},
		"none":            {[]Record{start, begin, {Body: End{}}}, 2, false},
		"at the end":      {[]Record{start, {Body: Finish{Error: broken}}}, 1, true},
		"behind it":       {[]Record{start}, 1, false},
	} {
		p := NewReplay(c.recs, nil)
		p.at = c.at
		err := p.Unkept()
		if (err != nil) != c.want || c.want && (transport.KindOf(err) != transport.NoSpace || err.Error() != "m") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var original = script{pos: "x.star:2:1", write: "b", resource: "file:/b", note: "done", vars: "1"}

// record plays the original against a host and gives back what the store has of it.
func record(t *testing.T) (*Run, []Record) {
	t.Helper()
	run := newRun(t)
	w := newWriter(t, run, "web1")
	if err := original.play(NewRecorder("web1", fakeHost(), clock(), w)); err != nil {
		t.Fatal(err)
	}
	recs, err := run.Read("web1")
	if err != nil || len(recs) < 20 {
		t.Fatalf("%d records, %v", len(recs), err)
	}
	return run, recs
}

func replay(t *testing.T, s script) (*Divergence, *tape) {
	t.Helper()
	run, recs := record(t)
	p, again := NewReplay(recs, run.Blob), &tape{}
	err := s.play(NewRecorder("web1", p, clock(), p, again))
	d := p.Divergence()
	if err != nil && (d == nil || !errors.Is(err, d)) {
		t.Errorf("ended with %v, diverged with %v", err, d)
	}
	return d, again
}

func TestReplaySame(t *testing.T) {
	for name, change := range map[string]func(*script){
		"the same":            func(*script) {},
		"positions that move": func(s *script) { s.pos = "x.star:99:7" },
	} {
		t.Run(name, func(t *testing.T) {
			s := original
			change(&s)
			d, again := replay(t, s)
			if d != nil {
				t.Fatal(d)
			}
			_, recs := record(t)
			if len(again.recs) != len(recs) {
				t.Errorf("%d records in the replay, %d in the run", len(again.recs), len(recs))
			}
			for i, r := range again.recs { // what failed, failed in the same words
				if o, ok := r.Body.(Outcome); ok && o.Error != nil {
					then := recs[i].Body.(Outcome).Error
					if *o.Error != *then && (o.Error.Message != then.Message || o.Error.Kind != then.Kind || o.Error.Hint != then.Hint || o.Error.Stderr != then.Stderr) {
						t.Errorf("replayed %+v, was %+v", o.Error, then)
					}
				}
			}
		})
	}
}

func TestReplayDiverges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*script)
		want   []string
	}{
		"changed op": {
			func(s *script) { s.write, s.pos = "other", "x.star:7:1" },
			[]string{
				"then step 2 file.put file:/b (x.star:2:1) sends {", string(transport.String("b").Digest),
				"now step 2 file.put file:/b (x.star:7:1) sends {", string(transport.String("other").Digest),
			},
		},
		"changed step": {
			func(s *script) { s.resource = "file:/c" },
			[]string{"then step 2 file.put file:/b (x.star:2:1)", "now step 2 file.put file:/c (x.star:2:1)"},
		},
		"missing step": {
			func(s *script) { s.skip = true },
			[]string{"then step 2 file.put file:/b (x.star:2:1)", "now step 2 read odd:"},
		},
		"extra step": {
			func(s *script) { s.extra = true },
			[]string{"then the end, failed", "now step 7 note"},
		},
		"changed handling of a result": {
			func(s *script) { s.deaf = true },
			[]string{"then step 6 run run:false ended failed: exit code 3", "now step 6 run run:false ended changed"},
		},
		"changed note": {
			func(s *script) { s.note = "finished" },
			[]string{`then note "done" (x.star:2:1), now note "finished" (x.star:2:1)`},
		},
		"other variables": {
			func(s *script) { s.vars = "2" },
			[]string{"then start, now start"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := original
			c.change(&s)
			d, _ := replay(t, s)
			if d == nil {
				t.Fatal("no divergence")
			}
			for _, want := range c.want {
				if !strings.Contains(d.Error(), want) {
					t.Errorf("got %s\nwant %s", d, want)
				}
			}
		})
	}
}

// TestReplayOpThatOnlyLooks: an op without an intent is compared where it is answered.
func TestReplayOpThatOnlyLooks(t *testing.T) {
	run, recs := record(t)
	p := NewReplay(recs, run.Blob)
	r := NewRecorder("web1", p, clock(), p)
	must(t, r.Start(Start{Mode: Running, Vars: map[string]json.RawMessage{"v": json.RawMessage("1")}}))
	if _, err := r.Begin(Begin{Builtin: "file.read", Resource: "file:/a", Pos: "new.star:3:1", Quiet: true}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Do(context.Background(), transport.Read{Path: "/b"})
	want := `then step 1 file.read file:/a (x.star:1:1) asks {"kind":"read","path":"/a"}, now step 1 file.read file:/a (new.star:3:1) asks {"kind":"read","path":"/b"}`
	if d, ok := errors.AsType[*Divergence](err); !ok || !strings.Contains(d.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := r.Begin(Begin{Builtin: "x"}); !errors.Is(err, p.Divergence()) {
		t.Errorf("after a divergence: %v", err)
	}
	if _, err := p.Do(context.Background(), transport.Stat{Path: "/a"}); !errors.Is(err, p.Divergence()) {
		t.Errorf("after a divergence: %v", err)
	}
}

func TestReplayEndsEarly(t *testing.T) {
	run, recs := record(t)
	p := NewReplay(recs, run.Blob)
	r := NewRecorder("web1", p, clock(), p)
	must(t, r.Start(Start{Mode: Running, Vars: map[string]json.RawMessage{"v": json.RawMessage("1")}}))
	d := p.Divergence()
	if d == nil || d.Now != nil || !strings.Contains(d.Error(), "then step 1 file.read file:/a (x.star:1:1), now nothing more") {
		t.Errorf("got %v", d)
	}
}

// TestReplayOfCrash: a journal that a crash cut behind an intent has no answer to give.
func TestReplayOfCrash(t *testing.T) {
	run, recs := record(t)
	for i, r := range recs {
		if _, ok := r.Body.(Intent); ok {
			recs = recs[:i+1]
			break
		}
	}
	p := NewReplay(recs, run.Blob)
	if err := original.play(NewRecorder("web1", p, clock(), p)); err == nil {
		t.Fatal("no divergence")
	}
	if d := p.Divergence(); d.Then != nil || !strings.Contains(d.Error(), "then nothing more, now step 2 file.put file:/b (x.star:2:1) asks") {
		t.Errorf("got %v", d)
	}
}
