package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"fabgo/internal/evaluator"
	"fabgo/internal/journal"
	"fabgo/internal/secrets"
	"fabgo/transport"
	"fabgo/transport/local"
	"fabgo/transport/wire"
)

// owner is the process that a run belongs to: it has the lock, the journal and the connections, and the evaluator for a child.
type owner struct {
	version string
	state   state
	hub     *hub
	child   *evaluator.Process

	past      []journal.Record // of a run that goes on
	rebooting atomic.Bool      // the machine restarts, and the run goes on afterwards
	suspended chan struct{}    // closed when it goes down

	jobs       chan Job
	soft, hard context.Context
	stop, cut  context.CancelCauseFunc
	down       chan struct{} // closed when this machine wants the process gone
}

func newOwner(version string) (*owner, error) {
	o := &owner{version: version, hub: newHub(), jobs: make(chan Job, 1), suspended: make(chan struct{}), down: make(chan struct{})}
	o.hard, o.cut = background()
	o.soft, o.stop = context.WithCancelCause(o.hard)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o.child, err = evaluator.Start(evaluator.Options{Command: evaluate(self)})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// live serves the first controller and does what it says, then waits until the end has been read.
func (o *owner) live(r io.Reader, w io.Writer, end func() error) error {
	first := o.connect(r, w, end)
	var j Job
	select {
	case j = <-o.jobs:
	case <-first.Done():
		o.child.Kill()
		return first.Err()
	}
	ended := make(chan Done, 1)
	go func() { ended <- o.job(j) }()
	select {
	case d := <-ended:
		if o.rebooting.Load() { // the evaluator went down before us
			return nil
		}
		o.hub.end(d)
	case <-o.suspended:
		return nil
	}
	patience := max(j.Reconnect, 10*time.Second)
	if j.Mode == journal.Planning { // nobody comes back to a plan
		patience = 0
		go func() { <-first.Done(); o.hub.bye(first) }()
	}
	select {
	case <-o.hub.read:
	case <-time.After(max(patience, time.Minute)):
	case <-o.down: // a shutdown waits for us
		select {
		case <-o.hub.read:
		case <-time.After(lastWord):
		}
	}
	first.Close()
	return nil
}

// lastWord is how long a controller may take to read the end when this machine goes down.
const lastWord = 2 * time.Second

// connect serves a controller.
func (o *owner) connect(r io.Reader, w io.Writer, end func() error) *wire.Conn {
	ready := make(chan *wire.Conn, 1)
	conn := func() *wire.Conn { c := <-ready; ready <- c; return c }
	c := wire.New(r, w, end, wire.Options{Receive: func(topic string, payload []byte) error {
		switch topic {
		case TopicJob:
			j, err := decodeJob(payload)
			if err != nil {
				return err
			}
			o.hub.serve(conn(), 0, true) // before the job begins: it looks whether somebody is there
			select {
			case o.jobs <- j:
			default:
				return errors.New("a second job")
			}
		case TopicAttach:
			var a Attach
			if err := json.Unmarshal(payload, &a); err != nil {
				return err
			}
			o.hub.serve(conn(), a.Records, a.Answers)
		case TopicStop:
			o.stop(evaluator.DecodeReason(payload))
		case TopicKill:
			o.cut(evaluator.DecodeReason(payload))
		case TopicBye:
			o.hub.bye(conn())
		}
		return nil
	}})
	b, err := json.Marshal(o.hello())
	if err == nil {
		_ = c.Send(TopicHello, b) // who is gone already is seen by what it was to say
	}
	ready <- c // nothing is answered before the greeting
	return c
}

// job does a job and says how it ended.
func (o *owner) job(j Job) Done {
	d, err := o.try(j)
	if err == nil {
		return d
	}
	te, ok := errors.AsType[*transport.Error](err)
	if !ok {
		te, _ = errors.AsType[*transport.Error](lockHint(err)) // the journal's
	}
	d.Error, d.Kind = err.Error(), transport.IO
	if te != nil {
		d.Kind, d.Hint = te.Kind, te.Hint
	}
	return d
}

func (o *owner) try(j Job) (Done, error) {
	var err error
	if o.state, err = stateDir(); err != nil {
		return o.refuse(err)
	}
	machine, err := local.New(local.Options{LazySync: true})
	if err != nil {
		return o.refuse(err)
	}
	defer machine.Close()
	var host transport.Host = machine
	sinks := []journal.Sink{o.hub}
	j.Start.Run = j.Holder.Run
	skew := j.Skew
	if o.past == nil {
		skew = time.Until(j.Now).Round(time.Millisecond)
	}
	if j.Mode == journal.Planning {
		if h, locked := o.state.locked(); locked {
			o.hub.notice("a run is under way: %s; the plan shows the host as it is in the middle of it", h)
		}
		o.hub.whenGone(func() { o.cut(errGone) })
	} else {
		lock, d, err := o.lock(j)
		if lock == nil {
			o.child.Kill()
			return d, err
		}
		defer lock.Release()
		host = lock.Guard(host)
		run, writer, err := o.record(j)
		if err != nil {
			return o.refuse(err)
		}
		defer writer.Close()
		// What a step made is on the disk before its end is.
		sinks = []journal.Sink{disk{machine}, &careful{writer, &o.rebooting}, o.hub}
		if err := o.reboots(run, j, skew); err != nil {
			return o.refuse(err)
		}
		if j.Stop {
			o.hub.whenGone(func() { o.stop(errGone) })
		}
	}
	a := &asks{life: o.hard, hub: o.hub, below: host, files: j.Files, patience: max(j.Reconnect, time.Second), skew: skew}
	if j.Mode != journal.Planning {
		a.cache = o.state.files()
	}
	o.child.Prepare(func(e *evaluator.Options) {
		e.Host, e.Sinks = secrets.Over(a), sinks
		e.Heard = func() { o.hub.notice(WasTold) }
		e.Now = func() time.Time { return time.Now().Add(skew) }
		e.Deliver = func(name string, c transport.Content) error {
			return a.again(o.hard, name, func(conn *wire.Conn) error {
				_, err := conn.Call(o.hard, CallDeliver, []byte(name), &c)
				return err
			})
		}
	})
	j.Skew, j.State, j.Beside = skew, transport.Path(o.state.memory()), true
	v, err := o.child.Run(o.soft, o.hard, j.Job)
	return Done{Verdict: v}, err
}

// disk is a sink that brings what a step has made to the disk.
type disk struct{ machine *local.Host }

func (disk) Record(journal.Record) error  { return nil }
func (disk) Line(string, []byte) error    { return nil }
func (disk) Keep(transport.Content) error { return nil }
func (d disk) Sync() error                { return d.machine.Sync() }

var errGone = &transport.Error{Kind: transport.Unreachable, Message: "the connection to the controller was lost"}

// refuse ends a job that cannot begin.
func (o *owner) refuse(err error) (Done, error) {
	o.child.Kill()
	return Done{}, err
}

// lock takes the lock of the host; without one, Done or the error say why. A controller that goes away waits no more.
func (o *owner) lock(j Job) (*Lock, Done, error) {
	ctx, cancel := context.WithCancel(o.soft)
	defer cancel()
	o.hub.whenGone(cancel)
	defer o.hub.whenGone(nil)
	l, holder, err := Acquire(ctx, j.Holder, j.Wait, func(h Holder) {
		if b, err := json.Marshal(h); err == nil {
			o.hub.add(entry{topic: TopicLocked, payload: b})
		}
	})
	return l, Done{Locked: holder}, err
}

// record begins the journal on the host, and listens for controllers that come back.
func (o *owner) record(j Job) (*journal.Run, *journal.Writer, error) {
	store := o.state.store()
	_ = store.Prune(keepRuns - 1) // what cannot be removed now will be the next time
	run, err := store.Make(j.Holder.Run)
	if err != nil {
		return nil, nil, lockHint(err)
	}
	open := run.Writer
	if o.past != nil {
		open = run.Appender
	}
	writer, err := open(j.Info.Name)
	if err != nil {
		return nil, nil, lockHint(err)
	}
	socket := o.state.socket(j.Holder.Run)
	_ = os.Remove(socket) // of the time before a restart
	l, err := listen(socket)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for controllers that come back: %w", errors.Join(err, writer.Close()))
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.connect(c, c, c.Close)
		}
	}()
	return run, writer, nil
}
