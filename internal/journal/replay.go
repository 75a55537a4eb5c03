package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"fabgo/transport"
)

// Replay plays a recorded session: as a Host it answers ops from the records, as a Sink it compares what the session records now
// with what it recorded then. The first difference is a *Divergence, from then on every call returns it.
type Replay struct {
	recs []Record
	blob func(transport.Content) transport.Content
	at   int
	step int    // the step that is open; 0: none
	then *Begin // as the journal has it
	now  *Begin // as the session has it
	div  *Divergence
}

// NewReplay plays recs; blob gives contents their bytes back (Run.Blob).
func NewReplay(recs []Record, blob func(transport.Content) transport.Content) *Replay {
	return &Replay{recs: recs, blob: blob}
}

// Divergence says where a session departs from its journal.
type Divergence struct {
	Then     *Record // what the journal has; nil: nothing more
	Now      *Record // what the session does; nil: it ended
	ThenStep *Begin  // the step that Then belongs to; nil outside steps
	NowStep  *Begin  // the step that Now belongs to; nil outside steps
}

// Error names both sides.
func (d *Divergence) Error() string {
	return fmt.Sprintf("the bundle departs from the journal: then %s, now %s", describe(d.Then, d.ThenStep), describe(d.Now, d.NowStep))
}

// ThenText describes what the journal has.
func (d *Divergence) ThenText() string { return describe(d.Then, d.ThenStep) }

// NowText describes what the session does.
func (d *Divergence) NowText() string { return describe(d.Now, d.NowStep) }

// StartOf is what opened the session of these records.
func StartOf(recs []Record) (Start, bool) {
	if len(recs) == 0 {
		return Start{}, false
	}
	s, ok := recs[0].Body.(Start)
	return s, ok
}

func describe(r *Record, step *Begin) string {
	if r == nil {
		return "nothing more"
	}
	at := ""
	if r.Step > 0 {
		at = fmt.Sprintf("step %d ", r.Step)
	}
	in := at
	if step != nil {
		in += step.describe() + " "
	}
	switch b := r.Body.(type) {
	case Begin:
		return at + b.describe()
	case End:
		return fmt.Sprintf("%s%s ended %s", at, b.Begin.describe(), b.outcome())
	case Intent:
		return in + "sends " + string(b.Op)
	case Outcome:
		return in + "asks " + string(b.Op)
	case Note:
		return fmt.Sprintf("note %q%s", b.Text, atPos(b.Pos))
	case Finish:
		return "the end, " + string(b.Status)
	}
	return r.Body.Type()
}

func (b Begin) describe() string {
	s := b.Builtin
	if b.Resource != "" {
		s += " " + b.Resource
	}
	return s + atPos(b.Pos)
}

func (e End) outcome() string {
	s := string(e.Status)
	if e.Error != nil {
		s += ": " + e.Error.Message
	}
	return s
}

func atPos(p string) string {
	if p == "" {
		return ""
	}
	return " (" + p + ")"
}

// Divergence is the first difference, or nil. After the session has ended it also finds records that were never reached.
func (p *Replay) Divergence() *Divergence {
	if p.div == nil && p.at < len(p.recs) {
		p.div = &Divergence{Then: &p.recs[p.at], ThenStep: p.then}
	}
	return p.div
}

func (p *Replay) next() *Record {
	if p.at < len(p.recs) {
		return &p.recs[p.at]
	}
	return nil
}

func (p *Replay) diverge(now Record) error {
	if p.div == nil {
		p.div = &Divergence{Then: p.next(), Now: &now, ThenStep: p.then, NowStep: p.now}
	}
	return p.div
}

// Do answers the op from the journal.
func (p *Replay) Do(_ context.Context, op transport.Op) (transport.Result, error) {
	if p.div != nil {
		return nil, p.div
	}
	raw := json.RawMessage(transport.EncodeOp(op))
	then := p.next()
	if then != nil {
		if o, ok := then.Body.(Outcome); ok && o.Digest == transport.DigestOf(raw) {
			if o.Error != nil {
				return nil, o.Error
			}
			res, err := transport.DecodeResult(op, o.Result)
			if err != nil {
				return nil, fmt.Errorf("read journal: %w", err)
			}
			return transport.BindResult(res, p.blob), nil
		}
	}
	return nil, p.diverge(Record{Step: p.step, Body: Outcome{Op: raw, Digest: transport.DigestOf(raw)}})
}

// Record compares a record with the next one of the journal.
func (p *Replay) Record(now Record) error {
	if p.div != nil {
		return p.div
	}
	then := p.next()
	if then == nil || string(essence(*then)) != string(essence(now)) {
		return p.diverge(now)
	}
	p.at++
	switch b := then.Body.(type) {
	case Begin:
		nb := now.Body.(Begin)
		p.step, p.then, p.now = then.Step, &b, &nb
	case End:
		p.step, p.then, p.now = 0, nil, nil
	}
	return nil
}

// Unkept is the error with which the host's memory of unsettled changes failed at this point of the recorded session, or nil. What passes
// beside the recorder has no records of its own: it shows in the end of the step, or of the session, that it broke.
func (p *Replay) Unkept() error {
	at := p.at
	if then := p.next(); then != nil && then.Body.Type() == (Start{}).Type() {
		at++
	}
	if p.div != nil || at >= len(p.recs) {
		return nil
	}
	var f *Failure
	switch b := p.recs[at].Body.(type) {
	case End:
		f = b.Error
	case Finish:
		f = b.Error
	}
	if f == nil || !f.Unkept {
		return nil
	}
	return &transport.Error{Kind: f.Kind, Message: f.Message, Hint: f.Hint, Stderr: transport.Text(f.Stderr)}
}

// Keep keeps nothing.
func (p *Replay) Keep(transport.Content) error { return nil }

// Sync does nothing.
func (p *Replay) Sync() error { return nil }

// essence is a record without what may differ between a run and its replay: times, positions (a comment above moves them; what is
// unknown names the position of its cause), the run's own name and versions, and what follows from the rest, such as hints.
func essence(r Record) []byte {
	r.Time = time.Time{}
	switch b := r.Body.(type) {
	case Start:
		r.Body = Start{Schema: b.Schema, Mode: b.Mode, Tasks: b.Tasks, Vars: b.Vars, State: b.State, Carried: b.Carried}
	case Begin:
		b.Pos = ""
		r.Body = b
	case Outcome:
		b.Millis = 0
		if b.Error != nil {
			b.Error = &transport.Error{Kind: b.Error.Kind, Message: b.Error.Message}
		}
		r.Body = b
	case End:
		b.Pos, b.Millis = "", 0
		if b.Status != Skipped {
			b.Because = ""
		}
		if b.Error != nil {
			b.Error = &Failure{Kind: b.Error.Kind, Message: b.Error.Message, Unkept: b.Error.Unkept}
		}
		r.Body = b
	case Note:
		b.Pos = ""
		r.Body = b
	case Finish:
		b.Millis = 0
		if b.Error != nil {
			b.Error = &Failure{Kind: b.Error.Kind, Unkept: b.Error.Unkept}
		}
		r.Body = b
	}
	out, err := compact(r)
	if err != nil {
		return []byte(err.Error())
	}
	return out
}
