package evaluator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"fabgo/internal/confine"
	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/wire"
)

// Options are what the parent brings along.
type Options struct {
	// Command makes the child's process, not yet started. Its standard streams are set here.
	Command func() *exec.Cmd
	Limits  confine.Limits
	// Host answers the ops of the session, Ask among them.
	Host transport.Host
	// Sinks take the records. Keep and Sync reach them like those of a session in this process.
	Sinks []journal.Sink
	// Deliver puts a file of the host on the controller.
	Deliver func(name string, c transport.Content) error
	// Past are the records of a run that is to go on, and Contents what they name.
	Past     []journal.Record
	Contents []transport.Content
	// Rebooting is told that the host is about to restart and has to be back after a time; nil: it may not.
	Rebooting func(wait time.Duration) error
	// Suspended reports whether the run is to go on after the restart of this machine: then the end of the child is not that of the run.
	Suspended func() bool
	// Heard is called when the child has heard that the step under way is its last; may be nil.
	Heard func()
	// Now is the controller's clock.
	Now func() time.Time
}

// Process is a child that waits for its job.
type Process struct {
	opts  Options
	child *confine.Child
	conn  *wire.Conn
	done  chan ending
	ops   sync.WaitGroup // under way

	mu   sync.Mutex
	seen progress
	given
	err error // of a sink
}

// Start starts a child. Starting it before its job is known saves the time that it takes.
func Start(o Options) (*Process, error) {
	p := &Process{opts: o, done: make(chan ending, 1)}
	cmd := o.Command()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.child, err = confine.Start(cmd, o.Limits); err != nil {
		return nil, fmt.Errorf("start the evaluator: %w", err)
	}
	p.child.Waiting(true) // for its job
	end := func() error { return errors.Join(in.Close(), out.Close()) }
	p.conn = wire.New(out, in, end, wire.Options{
		Host: transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
			p.ops.Add(1)
			defer p.ops.Done()
			p.child.Waiting(true)
			defer p.child.Waiting(false)
			res, err := p.opts.Host.Do(ctx, op)
			if _, ask := op.(transport.Ask); ask && err == nil {
				res, err = held(op, res)
			}
			if err != nil {
				return nil, err
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.given.note(op, res)
			return res, nil
		}),
		Call: func(ctx context.Context, name string, args []byte, content *transport.Content) ([]byte, error) {
			p.child.Waiting(true)
			defer p.child.Waiting(false)
			return p.call(ctx, name, args, content)
		},
		Receive: p.receive,
	})
	return p, nil
}

// ErrSuspended says that the child ended because this machine restarts; the run goes on afterwards.
var ErrSuspended = errors.New("the machine restarts under the run")

// Prepare sets what was not known when the child was started.
func (p *Process) Prepare(f func(o *Options)) { f(&p.opts) }

// Pid is the child's process number.
func (p *Process) Pid() int { return p.child.Pid() }

// Kill ends a child that is not needed.
func (p *Process) Kill() {
	p.conn.Close()
	p.child.Kill()
	_ = p.child.Wait()
}

// Run gives the child its job and returns when the session has ended. When soft ends, the step under way is the last; when hard ends, it is
// cut off. The error means that the journal could not be written, or that the child failed in a way that is our defect.
func (p *Process) Run(soft, hard context.Context, j Job) (journal.Verdict, error) {
	b, err := json.Marshal(j)
	if err != nil {
		return journal.Invalid, err
	}
	p.seen.job = j
	for _, c := range p.opts.Contents {
		p.conn.Offer(c)
	}
	for _, r := range p.opts.Past {
		p.seen.add(r)
		line, err := r.MarshalJSON()
		if err != nil {
			return journal.Invalid, err
		}
		if err := p.conn.Send(topicPast, line); err != nil {
			return p.died(err)
		}
	}
	if err := p.conn.Send(topicJob, b); err != nil {
		return p.died(err)
	}
	p.child.Waiting(false)
	softDone, hardDone := soft.Done(), hard.Done()
	for {
		select {
		case e := <-p.done:
			p.conn.Close()
			_ = p.child.Wait()
			if err := p.failure(); err != nil {
				return e.Verdict, err
			}
			if e.Error != "" {
				return e.Verdict, errors.New(e.Error)
			}
			return e.Verdict, nil
		case <-softDone:
			softDone = nil
			_ = p.conn.Send(topicStop, EncodeReason(context.Cause(soft)))
		case <-hardDone:
			hardDone = nil
			_ = p.conn.Send(topicKill, EncodeReason(context.Cause(hard)))
		case <-p.conn.Done():
			select {
			case e := <-p.done: // it said so and was gone
				p.done <- e
				continue
			default:
			}
			return p.died(p.conn.Err())
		}
	}
}

func (p *Process) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// opsEnd is how long ops that nobody waits for any more may take to end: a command is killed at once, and after a grace for good.
const opsEnd = 15 * time.Second

// settle waits until the ops of a child that is gone have ended. They were cut off with its connection; who goes on too early would leave
// their commands behind.
func (p *Process) settle() {
	ended := make(chan struct{})
	go func() { p.ops.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(opsEnd):
	}
}

// died ends the session of a child that did not do so itself.
func (p *Process) died(why error) (journal.Verdict, error) {
	p.conn.Close()
	ended := p.child.Wait()
	<-p.conn.Done() // nothing more is asked
	p.settle()
	if err := p.failure(); err != nil {
		return journal.Invalid, err
	}
	if p.opts.Suspended != nil && p.opts.Suspended() {
		return journal.Interrupted, ErrSuspended
	}
	f := journal.Failure{Kind: journal.Internal, Message: "the process that evaluates the bundle ended: " + why.Error()}
	if ended != nil {
		f.Message = "the process that evaluates the bundle ended: " + ended.Error()
	}
	verdict := journal.Broken
	if k, ok := errors.AsType[*confine.Killed](ended); ok {
		f.Message, f.Hint = "the process that evaluates the bundle was "+k.Error(), k.Hint()
		if k.Where != "" {
			f.Frames = []string{k.Where}
		}
		if k.Reason != confine.Signal && k.Reason != confine.Runtime { // it was the bundle's doing
			f.Kind, verdict = transport.Refused, journal.Invalid
		}
	}
	if crash, ok := errors.AsType[*confine.Crash](ended); ok {
		f.Stderr = crash.Stderr
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.seen.close(p.opts.Now(), verdict, f) {
		if err := p.record(r); err != nil {
			return verdict, err
		}
	}
	return verdict, p.each(journal.Sink.Sync)
}

func (p *Process) each(f func(journal.Sink) error) error {
	var first error
	for _, s := range p.opts.Sinks { // all of them: see journal.Recorder
		if err := f(s); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (p *Process) record(r journal.Record) error {
	return p.each(func(s journal.Sink) error { return s.Record(r) })
}

// line takes a record of the child. Sinks that can have it as it came; it is taken apart as far as somebody wants to know.
func (p *Process) line(line []byte) error {
	r, typ, err := journal.Head(line)
	if err == nil && bytes.IndexByte(line, '\n') >= 0 {
		err = errors.New("it has several lines")
	}
	raw := !slices.ContainsFunc(p.opts.Sinks, func(s journal.Sink) bool { _, ok := s.(journal.LineSink); return !ok })
	if err == nil && (!raw || p.seen.wants(typ)) {
		err = r.UnmarshalJSON(line)
	}
	if err != nil {
		return fmt.Errorf("a record of the evaluator: %w", err)
	}
	if typ == (journal.Outcome{}).Type() { // an answer is the end of a stretch of computing, whoever gave it
		p.child.Waiting(true)
		p.child.Waiting(false)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.add(r)
	err = p.each(func(s journal.Sink) error {
		if l, ok := s.(journal.LineSink); ok {
			return l.Line(typ, line)
		}
		return s.Record(r)
	})
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("write journal: %w", err)
	}
	return p.err
}

// keep keeps what was given last.
func (p *Process) keep(d transport.Digest) error {
	p.mu.Lock()
	c := p.given.content
	ok := p.given.take(d)
	p.mu.Unlock()
	if !ok {
		return fmt.Errorf("the evaluator keeps %s, which it was not given", d)
	}
	b, err := c.ReadAll(journal.KeepLimit)
	if err != nil {
		return err
	}
	_ = p.guarded(func(s journal.Sink) error { return s.Keep(transport.Bytes(b)) }) // the end of the session, which the next record finds
	return p.failure()
}

func (p *Process) receive(topic string, payload []byte) error {
	switch topic {
	case topicRecord:
		return p.line(payload)
	case topicHeard:
		if p.opts.Heard != nil {
			p.opts.Heard()
		}
	case topicKeep:
		return p.keep(transport.Digest(payload))
	case topicDone:
		var e ending
		if err := json.Unmarshal(payload, &e); err != nil {
			return fmt.Errorf("the end of the evaluator: %w", err)
		}
		select {
		case p.done <- e:
		default:
		}
	}
	return nil
}

func (p *Process) call(ctx context.Context, name string, args []byte, content *transport.Content) ([]byte, error) {
	switch name {
	case callKeep:
		if content == nil {
			return nil, &transport.Error{Kind: transport.Protocol, Message: "keep: no content"}
		}
		b, err := content.ReadAll(journal.KeepLimit) // before the lock: its bytes may still be with the child
		if err != nil {
			return nil, err
		}
		return nil, p.guarded(func(s journal.Sink) error { return s.Keep(transport.Bytes(b)) })
	case callSync:
		return nil, p.guarded(journal.Sink.Sync)
	case callSleep:
		d, err := time.ParseDuration(string(args))
		if err != nil {
			return nil, &transport.Error{Kind: transport.Protocol, Message: "sleep: " + err.Error()}
		}
		return nil, sleep(ctx, d)
	case callReboot:
		d, err := time.ParseDuration(string(args))
		if err != nil || p.opts.Rebooting == nil {
			return nil, &transport.Error{Kind: transport.Unsupported, Message: "this machine is not restarted from here"}
		}
		return nil, p.opts.Rebooting(d)
	case callDeliver:
		if p.opts.Deliver == nil || content == nil {
			return nil, &transport.Error{Kind: transport.Unsupported, Message: "nothing is delivered here"}
		}
		return nil, p.opts.Deliver(string(args), *content)
	}
	return nil, &transport.Error{Kind: transport.Unsupported, Message: name + ": the evaluator's parent does not know this"}
}

// guarded calls every sink; that they fail is the end of the session.
func (p *Process) guarded(f func(journal.Sink) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.each(f)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("write journal: %w", err)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return &transport.Error{Kind: transport.Interrupted, Message: "interrupted while waiting", Err: context.Cause(ctx)}
	}
}
