package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"fabgo/transport"
)

// Sink takes the records of a session, in order. An error of a sink ends the session: what cannot be written down is not done.
type Sink interface {
	Record(Record) error
	// Keep stores the bytes of a content that a record names. It may decide not to.
	Keep(transport.Content) error
	// Sync makes what was recorded so far durable.
	Sync() error
}

// ErrWrite is in the chain of every error which says that the journal could not be written.
var ErrWrite = errors.New("write journal")

// LineSink is a Sink that can take a record as MarshalJSON made it. Who only passes records on need not take them apart.
type LineSink interface {
	Sink
	// Line is Record for a line without its end, whose record has a body of this type. The line is not changed afterwards.
	Line(typ string, line []byte) error
}

// Recorder writes the records of one session and, as a Host, records each op that passes through it. A session uses it from one
// goroutine at a time.
type Recorder struct {
	name  string
	below transport.Host
	sinks []Sink
	now   func() time.Time

	step   int
	index  int
	begin  Begin
	since  time.Time
	ran    bool // a changing op passed in this step
	opened time.Time
	counts map[Status]int
	hidden map[transport.Digest]bool
	secret bool // what this step reads is hidden
}

// NewRecorder records what passes to the host below, under the name that the user gave it.
func NewRecorder(name string, below transport.Host, now func() time.Time, sinks ...Sink) *Recorder {
	return &Recorder{name: name, below: below, sinks: sinks, now: now, counts: map[Status]int{}, hidden: map[transport.Digest]bool{}}
}

func (r *Recorder) emit(step int, b Body) error {
	rec := Record{Host: r.name, Time: r.now(), Step: step, Body: b}
	return r.each(func(s Sink) error { return s.Record(rec) })
}

// each calls every sink, also behind one that fails: an output that nobody reads any more must not cut the journal on disk short. The
// first error counts.
func (r *Recorder) each(f func(Sink) error) error {
	var first error
	for _, s := range r.sinks {
		if err := f(s); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (r *Recorder) sync() error {
	if err := r.each(Sink.Sync); err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return nil
}

// Start opens the session.
func (r *Recorder) Start(s Start) error {
	r.opened = r.now()
	s.Schema = Schema
	return r.emit(0, s)
}

// Step is the number of the step that is open, or of the last one.
func (r *Recorder) Step() int { return r.step }

// Begin opens the next step and returns its number.
func (r *Recorder) Begin(b Begin) (int, error) {
	r.step++
	r.index, r.begin, r.since, r.ran = 0, b, r.now(), false
	r.secret = false
	return r.step, r.emit(r.step, b)
}

// End closes the step. What it says of the step itself comes from Begin.
func (r *Recorder) End(e End) error {
	e.Begin = r.begin
	e.Millis = r.now().Sub(r.since).Milliseconds()
	if !e.Quiet || e.Status != OK {
		r.counts[e.Status]++
	}
	if err := r.emit(r.step, e); err != nil {
		return err
	}
	if r.ran {
		return r.sync()
	}
	return nil
}

// Note writes a line.
func (r *Recorder) Note(n Note) error { return r.emit(0, n) }

// Counts are the numbers of steps by status, so far.
func (r *Recorder) Counts() map[Status]int { return maps.Clone(r.counts) }

// Forgive counts a failed step as one that was attempted: the bundle goes on.
func (r *Recorder) Forgive() {
	if r.counts[Failed] > 0 {
		r.counts[Failed]--
		r.counts[Attempted]++
	}
}

// Finish closes the session.
func (r *Recorder) Finish(f Finish) error {
	f.Counts = r.Counts()
	f.Millis = r.now().Sub(r.opened).Milliseconds()
	if err := r.emit(0, f); err != nil {
		return err
	}
	return r.sync()
}

// Hide keeps the bytes of a content out of the journal; its digest is still named.
func (r *Recorder) Hide(c transport.Content) { r.hidden[c.Digest] = true }

// HideReads keeps all that the step under way reads out of the journal. To hide what a Stat told of a file is not enough: it may change
// before it is read.
func (r *Recorder) HideReads() { r.secret = true }

// Do passes an op on and records it. An error of the host below comes back as a *transport.Error, with the cause in its chain.
func (r *Recorder) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	raw := json.RawMessage(transport.EncodeOp(op))
	out := Outcome{Index: r.index, Op: raw, Digest: transport.DigestOf(raw)}
	r.index++
	if op.Changes() {
		r.ran = true
		for _, c := range written(op) {
			if err := r.keep(c); err != nil {
				return nil, err
			}
		}
		if err := r.emit(r.step, Intent{Index: out.Index, Op: raw, Digest: out.Digest}); err != nil {
			return nil, fmt.Errorf("the change was not sent, since its intent could not be recorded: %w", err)
		}
	}
	since := r.now()
	res, err := r.below.Do(ctx, op)
	out.Millis = r.now().Sub(since).Milliseconds()
	if err != nil {
		out.Error = asError(err)
		err = out.Error
	} else {
		out.Result = transport.EncodeResult(res)
		if d, ok := res.(transport.Data); ok {
			_, read := op.(transport.Read)
			if read && r.secret {
				r.Hide(d.Content)
			}
			keep := r.keep
			if read && !r.secret && d.Content.Secret { // a bundle reads openly what it hid in an edit: of the secret in it there is a token
				keep = r.keepAnyhow
			}
			if ask, ok := op.(transport.Ask); !ok || !ask.Unseen {
				if kerr := keep(d.Content); kerr != nil {
					return nil, kerr
				}
			}
		}
	}
	if jerr := r.emit(r.step, out); jerr != nil {
		return nil, jerr
	}
	return res, err
}

// written are the contents that tell what a change wrote. Of a pack that is its manifest: the bytes are files of the bundle, thousands of
// them.
func written(op transport.Op) []transport.Content {
	switch o := op.(type) {
	case transport.Write:
		return []transport.Content{o.Content}
	case transport.Unpack:
		return []transport.Content{o.Files}
	}
	return nil
}

func (r *Recorder) keep(c transport.Content) error {
	if r.hidden[c.Digest] {
		return nil
	}
	return r.keepAnyhow(c)
}

func (r *Recorder) keepAnyhow(c transport.Content) error {
	if err := r.each(func(s Sink) error { return s.Keep(c) }); err != nil {
		return fmt.Errorf("%w: keep a content: %w", ErrWrite, err)
	}
	return nil
}

// asError is err in the form that journals keep. The session gets the same, so that its replay sees no other error than it saw.
func asError(err error) *transport.Error {
	if e, ok := err.(*transport.Error); ok {
		return e
	}
	out := &transport.Error{Kind: transport.IO, Message: err.Error(), Err: err}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		out.Kind, out.Path, out.Hint, out.Stderr = e.Kind, e.Path, e.Hint, e.Stderr
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		out.Kind = transport.Interrupted
	}
	return out
}
