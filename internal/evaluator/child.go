package evaluator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"fabgo/builtins"
	"fabgo/bundles"
	"fabgo/internal/confine"
	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/interp"
	"fabgo/transport"
	"fabgo/transport/wire"
)

// Child is the life of the child: it reads a job from r, evaluates it, and tells the far end of w. It returns when the parent has gone, or
// has been told how the session ended.
func Child(r io.Reader, w io.Writer, getenv func(string) string) error {
	inner, err := confine.Inside(getenv)
	if err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	// Ctrl-C of a terminal and the end of a machine reach every process. Ours ends when its parent says so or is gone: what the parent does
	// about a signal needs it.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	in, err := builtins.Interp(interp.Options{ // while the job is still on its way
		Fab: bundles.Fab(), Trace: func(pos interp.Position) { inner.At(pos.File, pos.Line) },
	})
	if err != nil {
		return err
	}
	jobs := make(chan Job, 1)
	hard, cut := context.WithCancelCause(context.Background())
	soft, stop := context.WithCancelCause(hard)
	defer cut(nil)
	heard := make(chan struct{}, 1)
	var past []journal.Record
	conn := wire.New(r, w, nil, wire.Options{Receive: func(topic string, payload []byte) error {
		switch topic {
		case topicJob:
			var j Job
			if err := json.Unmarshal(payload, &j); err != nil {
				return fmt.Errorf("read the job: %w", err)
			}
			select {
			case jobs <- j:
				return nil
			default:
				return errors.New("a second job")
			}
		case topicPast:
			var rec journal.Record
			if err := json.Unmarshal(payload, &rec); err != nil {
				return fmt.Errorf("read the past of the run: %w", err)
			}
			past = append(past, rec) // all of it comes before the job
		case topicStop:
			stop(DecodeReason(payload))
			select {
			case heard <- struct{}{}:
			default:
			}
		case topicKill:
			cut(DecodeReason(payload))
		}
		return nil
	}})
	defer conn.Close()
	var j Job
	select {
	case j = <-jobs:
	case <-conn.Done():
		return conn.Err()
	}
	go func() {
		<-heard
		_ = conn.Send(topicHeard, nil) // a parent that is gone is seen elsewhere
	}()
	go func() {
		<-conn.Done()
		cut(&transport.Error{Kind: transport.Unreachable, Message: "the process that this one evaluates for is gone"})
	}()
	e := ending{}
	e.Verdict, err = evaluate(soft, hard, in, j, past, conn)
	if err != nil {
		e.Error = err.Error()
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return conn.Send(topicDone, b)
}

func evaluate(soft, hard context.Context, in *interp.Interp, j Job, past []journal.Record, conn *wire.Conn) (journal.Verdict, error) {
	bundle, err := in.OpenClosure(j.Closure)
	if err != nil {
		return journal.Invalid, fmt.Errorf("open the bundle again: %w", err)
	}
	tasks, err := bundle.ParseTasks(j.Tasks)
	if err != nil {
		return journal.Invalid, fmt.Errorf("read its tasks again: %w", err)
	}
	vars, err := builtins.DecodeVars(j.Vars)
	if err != nil {
		return journal.Invalid, err
	}
	if len(bundle.LiteralCalls("secret")) > 0 { // also in what a run that goes on has behind it
		j.Beside = false
	}
	own := &sink{conn: conn, kept: map[transport.Digest]bool{}}
	host, end, err := beside(j, own.over(conn))
	if err != nil {
		return journal.Invalid, err
	}
	defer end()
	now := func() time.Time { return time.Now().Add(j.Skew) }
	var (
		out  journal.Sink = own
		live              = func() bool { return true }
	)
	p := builtins.Play{Interp: in, Bundle: bundle, Tasks: tasks, Vars: vars, Mode: j.Mode, Info: j.Info, Start: j.Start, Ops: hard}
	p.Ledger = converge.NewLedger(conn, converge.LedgerOptions{Bundle: bundle.Name(), User: j.Info.Acting, Dir: j.State})
	if len(past) > 0 {
		r := journal.NewResume(past, conn.Remote, host, out)
		r.Done = func(op transport.Op) (transport.Result, bool) { // whoever was cut off was so by the restart that it asked for
			_, isExec := op.(transport.Exec)
			return transport.Output{}, isExec
		}
		host, out, live, now = r, r, r.Live, r.Clock(now)
		then, ok := journal.StartOf(past)
		if !ok {
			return journal.Invalid, errors.New("the past of the run has no beginning")
		}
		p.Ledger = converge.ResumedLedger(then, p.Ledger, live)
	}
	p.Recorder = journal.NewRecorder(j.Info.Name, host, now, out)
	p.Sleep = func(ctx context.Context, d time.Duration) error { // the parent's time: it is not one of computing
		if !live() {
			return nil
		}
		_, err := conn.Call(ctx, callSleep, []byte(d.String()), nil)
		return err
	}
	p.Deliver = func(name string, c transport.Content) error {
		if !live() {
			return nil
		}
		_, err := conn.Call(hard, callDeliver, []byte(name), &c)
		return err
	}
	if j.Reboots {
		p.Rebooting = func(ctx context.Context, wait time.Duration) error {
			if !live() {
				return nil
			}
			_, err := conn.Call(ctx, callReboot, []byte(wait.String()), nil)
			return err
		}
	}
	return p.Run(soft)
}

// sink sends what is recorded to the parent.
type sink struct {
	conn *wire.Conn
	kept map[transport.Digest]bool
	given
}

// Record implements journal.Sink. What the parent cannot write down ends the connection, and with it the session.
func (s *sink) Record(r journal.Record) error {
	b, err := r.MarshalJSON() // not json.Marshal, which would escape what is in it once more
	if err != nil {
		return err
	}
	return s.conn.Send(topicRecord, b)
}

// Keep implements journal.Sink.
func (s *sink) Keep(c transport.Content) error {
	if !c.Known() || c.Size > journal.KeepLimit || s.kept[c.Digest] {
		return nil
	}
	if s.given.take(c.Digest) {
		s.kept[c.Digest] = true
		return s.conn.Send(topicKeep, []byte(c.Digest))
	}
	_, err := s.conn.Call(context.Background(), callKeep, nil, &c)
	s.kept[c.Digest] = err == nil
	return err
}

// Sync implements journal.Sink.
func (s *sink) Sync() error {
	_, err := s.conn.Call(context.Background(), callSync, nil, nil)
	return err
}

// EncodeReason is why a session is to end, for the process that it runs in.
func EncodeReason(err error) []byte {
	r := reason{Message: "interrupted"}
	if err != nil {
		r.Message = err.Error()
	}
	if te, ok := errors.AsType[*transport.Error](err); ok {
		r.Kind, r.Hint = te.Kind, te.Hint
	}
	b, merr := json.Marshal(r)
	if merr != nil {
		return []byte(`{"message":"interrupted"}`)
	}
	return b
}

// DecodeReason reads what EncodeReason wrote.
func DecodeReason(b []byte) error {
	var r reason
	if err := json.Unmarshal(b, &r); err != nil {
		r.Message = "interrupted"
	}
	if r.Kind == "" {
		return errors.New(r.Message)
	}
	return &transport.Error{Kind: r.Kind, Message: r.Message, Hint: r.Hint}
}
