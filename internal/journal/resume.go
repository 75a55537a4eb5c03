package journal

import (
	"context"
	"encoding/json"
	"time"

	"fabgo/transport"
)

// Resume goes on with a session whose process is gone: what it has recorded is played from its journal, and behind the last record the
// host is asked and the sinks are told again. It is both Host and Sink of a Recorder.
//
// A change that was sent, and whose outcome is not recorded, is Lost, unless Done says that it happened.
type Resume struct {
	past  *Replay
	under *Intent // the change that was under way
	host  transport.Host
	sinks []Sink
	// Done answers for the change that was under way when the process went; nil: nobody knows.
	Done func(op transport.Op) (transport.Result, bool)
}

// NewResume goes on behind recs.
func NewResume(recs []Record, blob func(transport.Content) transport.Content, host transport.Host, sinks ...Sink) *Resume {
	r := &Resume{past: NewReplay(recs, blob), host: host, sinks: sinks}
	if n := len(recs); n > 0 {
		if i, ok := recs[n-1].Body.(Intent); ok {
			r.under = &i
		}
	}
	return r
}

// Live reports whether the journal has been played to its end.
func (r *Resume) Live() bool { return r.past.at == len(r.past.recs) }

// Clock is now, but for what is played: that happened when the journal says.
func (r *Resume) Clock(now func() time.Time) func() time.Time {
	return func() time.Time {
		if then := r.past.next(); then != nil {
			return then.Time
		}
		return now()
	}
}

// Do implements transport.Host.
func (r *Resume) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	if !r.Live() {
		return r.past.Do(ctx, op)
	}
	under := r.under
	r.under = nil
	if under == nil || under.Digest != transport.DigestOf(json.RawMessage(transport.EncodeOp(op))) {
		return r.host.Do(ctx, op)
	}
	if r.Done != nil {
		if res, ok := r.Done(op); ok {
			return res, nil
		}
	}
	return nil, &transport.Error{Kind: transport.Lost, Message: op.Kind() + ": the run was cut off under the change",
		Hint: "whether it happened is not known: look at the host, or run again"}
}

// Record implements Sink.
func (r *Resume) Record(rec Record) error {
	if !r.Live() {
		return r.past.Record(rec)
	}
	return r.each(func(s Sink) error { return s.Record(rec) })
}

// Keep implements Sink.
func (r *Resume) Keep(c transport.Content) error {
	if !r.Live() {
		return nil
	}
	return r.each(func(s Sink) error { return s.Keep(c) })
}

// Sync implements Sink.
func (r *Resume) Sync() error {
	if !r.Live() {
		return nil
	}
	return r.each(Sink.Sync)
}

func (r *Resume) each(f func(Sink) error) error {
	var first error
	for _, s := range r.sinks {
		if err := f(s); err != nil && first == nil {
			first = err
		}
	}
	return first
}
