// Package wire carries ops, calls, messages and contents in frames over any pipe: to a helper behind SSH, to an evaluator in a process of
// its own. Both ends are alike: each may ask and be asked.
//
// The one rule: the goroutine that reads frames never waits for the far end. Calls are served beside it; messages are received on it, in
// the order in which they were sent.
//
// The trap: contents are named by digest. Small ones, and what was read from a file, are attached to the frame that names them; others are
// pulled when they are opened, which may be never. A content of an op can be pulled until the op is answered; an end that answered with a
// large one must still be there when it is opened.
//
// The promise: what the far end says is data. Lengths, counts and digests are checked, memory grows with what came and not with what was
// announced, and a content whose bytes are not those of its digest ends in an error. A far end that breaks the rules loses the connection,
// with a reason.
package wire

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"fabgo/transport"
)

// Options say what an end does with what the far end asks.
type Options struct {
	// Host answers ops; nil refuses them. An op's context ends when its caller's does, and with the connection.
	Host transport.Host
	// Call answers other calls; nil refuses them.
	Call func(ctx context.Context, name string, args []byte, content *transport.Content) ([]byte, error)
	// Receive takes messages, one at a time and in order. An error ends the connection. It must not wait for the far end.
	Receive func(topic string, payload []byte) error
}

// Conn is one end of a pipe. It is safe for concurrent use.
type Conn struct {
	opts Options
	out  *outgoing
	end  func() error
	over atomic.Bool // end was called

	ctx     context.Context // ends with the connection
	cancel  context.CancelCauseFunc
	done    chan struct{}
	greeted chan struct{} // closed when the far end has greeted

	callSlots chan struct{} // taken by what is in calls
	pullSlots chan struct{} // taken by what is in pulls
	free      pieces

	mu      sync.Mutex
	next    uint64
	calls   map[uint64]chan frame // that this end made
	serving map[uint64]context.CancelCauseFunc
	pulls   map[uint64]*pull // that this end made
	pushes  map[uint64]*push // that the far end made
	offers  map[transport.Digest]*offer
}

// callLimit is how many calls an end may have under way. More have to wait; a far end that makes more all the same is cut off.
const callLimit = 1024

const (
	// closeTime is how long Close waits for a far end that does not read.
	closeTime = 5 * time.Second
	// drainTime is how long what the far end sent is still read after it stopped reading.
	drainTime = 5 * time.Second
)

// NoGreeting says that the far end ended, or said too much, before it greeted.
type NoGreeting struct {
	Noise []byte // what it said instead
	Err   error
}

func (e *NoGreeting) Error() string { return fmt.Sprintf("no greeting: %v", e.Err) }
func (e *NoGreeting) Unwrap() error { return e.Err }

// New makes an end of a pipe that is read from r and written to w. Frames are served from now on, so what o names must be ready before New
// returns. end closes r and w, so that reads and writes which wait return; it is called once, when the connection is over. It may be nil
// where the process ends with the connection.
func New(r io.Reader, w io.Writer, end func() error, o Options) *Conn {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &Conn{
		opts: o, end: end, ctx: ctx, cancel: cancel, done: make(chan struct{}), greeted: make(chan struct{}),
		calls: map[uint64]chan frame{}, serving: map[uint64]context.CancelCauseFunc{}, pulls: map[uint64]*pull{}, pushes: map[uint64]*push{},
		offers: map[transport.Digest]*offer{}, callSlots: make(chan struct{}, callLimit), pullSlots: make(chan struct{}, pullLimit),
		free: make(pieces, 2*queueLimit/pieceSize),
	}
	c.out = newOutgoing(w, c.unwritable)
	c.out.raw([]byte(greeting))
	go c.read(bufio.NewReaderSize(r, 64<<10))
	return c
}

// Done is closed when the connection is over and nothing more is received. Calls of the far end may still be ending.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Over reports whether the connection has ended or is about to: Done is closed then, or will be in a moment, and what fails on it fails
// because of that.
func (c *Conn) Over() bool { return c.ctx.Err() != nil }

// Greeted waits until the far end has greeted; else the error says why it never will. Nothing has to wait for it: what is sent before is
// read once the far end is there.
func (c *Conn) Greeted() error {
	select {
	case <-c.greeted:
		return nil
	case <-c.done:
		select {
		case <-c.greeted:
			return nil
		default:
			return c.Err()
		}
	}
}

// Err is why the connection is over: io.EOF when the far end closed it between two frames.
func (c *Conn) Err() error {
	<-c.done
	return context.Cause(c.ctx)
}

// Flush waits until all that was sent has been written to the pipe.
func (c *Conn) Flush() { c.out.flush() }

// Close writes what was sent, for which a far end that does not read has five seconds, and ends the connection.
func (c *Conn) Close() error {
	late := time.AfterFunc(closeTime, func() { c.fail(errClosed) })
	defer late.Stop()
	c.out.flush()
	c.fail(errClosed)
	return nil
}

var errClosed = errors.New("closed on this side")

func (c *Conn) fail(err error) {
	c.cancel(err)
	c.out.stop(err)
	if c.end != nil && !c.over.Swap(true) {
		_ = c.end() // what there is to say is said by what could not be read or written
	}
}

// unwritable takes a write that failed: the far end has gone. What it sent before, such as its last words, may still be on its way, so
// the end that counts is the one that reading comes to.
func (c *Conn) unwritable(err error) {
	c.out.stop(err)
	late := time.AfterFunc(drainTime, func() { c.fail(err) })
	context.AfterFunc(c.ctx, func() { late.Stop() })
}

func (c *Conn) read(r *bufio.Reader) {
	defer close(c.done)
	noise, err := skipNoise(r)
	if err != nil {
		c.fail(&NoGreeting{Noise: noise, Err: err})
		return
	}
	close(c.greeted)
	for {
		f, err := readFrame(r, c.free)
		if err == nil {
			err = c.take(f)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// take handles one frame. An error ends the connection.
func (c *Conn) take(f frame) error {
	switch f.kind {
	case kindCall:
		return c.called(f)
	case kindReply, kindFail:
		c.mu.Lock()
		ch := c.calls[f.id]
		delete(c.calls, f.id)
		c.mu.Unlock()
		if ch == nil {
			return fmt.Errorf("an answer to call %d, which was not made", f.id)
		}
		<-c.callSlots
		ch <- f
		return nil
	case kindCancel:
		c.mu.Lock()
		cancel := c.serving[f.id]
		c.mu.Unlock()
		if cancel != nil { // else its answer is under way
			cancel(errors.New(string(f.body)))
		}
		return nil
	case kindMessage:
		fields, err := unpack(f.body, 2)
		if err != nil {
			return err
		}
		if c.opts.Receive == nil {
			return nil
		}
		return c.opts.Receive(string(fields[0]), fields[1])
	case kindData, kindEnd:
		return c.pulled(f)
	case kindPull, kindAck, kindDrop:
		return c.pushed(f)
	}
	return fmt.Errorf("a frame of unknown kind %q", byte(f.kind))
}

// Send sends a message. It waits only while more than a megabyte is still to be written. What the same goroutine sends or asks
// afterwards is seen afterwards.
func (c *Conn) Send(topic string, payload []byte) error {
	return c.out.frame(frame{kindMessage, 0, pack([]byte(topic), payload)})
}

// doCall is the name of the call that carries an op.
const doCall = "do"

// Do has the far end answer an op.
func (c *Conn) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	reply, release, err := c.call(ctx, doCall, transport.EncodeOp(op), contentsOf(op), attachOf(op))
	defer release()
	if b, ok := errors.AsType[*broken](err); ok {
		return nil, b.explain(op.Kind(), op.Changes())
	}
	if err != nil {
		return nil, err
	}
	res, err := transport.DecodeResult(op, reply[0])
	bind, bindErr := c.binder(c.ctx, reply[1:])
	if err := cmp.Or(err, bindErr); err != nil {
		return nil, &transport.Error{Kind: transport.Protocol, Message: fmt.Sprintf("%s: the far end's answer: %v", op.Kind(), err), Err: err}
	}
	return transport.BindResult(res, bind), nil
}

// Call makes any other call; content may be nil.
func (c *Conn) Call(ctx context.Context, name string, args []byte, content *transport.Content) ([]byte, error) {
	var contents []transport.Content
	fields := callArgs{Args: args, Content: content}
	if content != nil {
		contents = append(contents, *content)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	reply, release, err := c.call(ctx, name, b, contents, attachLimit)
	defer release()
	if b, ok := errors.AsType[*broken](err); ok {
		return nil, b.explain(name, false)
	}
	if err != nil {
		return nil, err
	}
	return reply[0], nil
}

// callArgs are the arguments of a call that is no op.
type callArgs struct {
	Args    []byte             `json:"args,omitempty"`
	Content *transport.Content `json:"content,omitempty"`
}

// call sends a call and waits for its reply: the result, then what attach made. When ctx ends, the far end is told, and its reply still
// awaited: what it was doing has an end of its own, which is the truth.
func (c *Conn) call(ctx context.Context, name string, args []byte, contents []transport.Content, limit int64) (reply [][]byte, release func(), err error) {
	release = func() {}
	if ctx.Err() != nil {
		return nil, release, interrupted(ctx, name)
	}
	more, release, err := c.attach(contents, limit, false)
	if err != nil {
		return nil, release, err
	}
	select {
	case c.callSlots <- struct{}{}:
	case <-ctx.Done():
		return nil, release, interrupted(ctx, name)
	case <-c.ctx.Done():
		return nil, release, &broken{err: context.Cause(c.ctx)}
	}
	ch := make(chan frame, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.calls[id] = ch
	c.mu.Unlock()
	if err := c.out.frame(frame{kindCall, id, pack(append([][]byte{[]byte(name), args}, more...)...)}); err != nil {
		c.mu.Lock()
		delete(c.calls, id)
		c.mu.Unlock()
		<-c.callSlots
		if _, ok := errors.AsType[tooLarge](err); ok {
			return nil, release, &transport.Error{Kind: transport.Refused, Message: name + ": " + err.Error(), Err: err}
		}
		return nil, release, &broken{err: err}
	}
	f, err := c.await(ctx, id, ch)
	if err != nil {
		return nil, release, err
	}
	if f.kind == kindFail {
		e := decodeError(f.body)
		if e.Kind == transport.Interrupted && ctx.Err() != nil {
			e.Err = context.Cause(ctx)
		}
		return nil, release, e
	}
	reply, err = unpack(f.body, 2)
	if err != nil {
		return nil, release, &transport.Error{Kind: transport.Protocol, Message: name + ": the far end's answer: " + err.Error(), Err: err}
	}
	return reply, release, nil
}

func interrupted(ctx context.Context, name string) error {
	err := context.Cause(ctx)
	return &transport.Error{Kind: transport.Interrupted, Message: name + ": interrupted: " + err.Error(), Err: err}
}

// await waits for the reply to a call that was sent.
func (c *Conn) await(ctx context.Context, id uint64, ch chan frame) (frame, error) {
	cancelled := ctx.Done()
	for {
		select {
		case f := <-ch:
			return f, nil
		case <-cancelled:
			cancelled = nil
			why := context.Cause(ctx).Error()
			_ = c.out.frame(frame{kindCancel, id, []byte(why[:min(len(why), 4<<10)])}) // a dead connection is seen below
		case <-c.ctx.Done():
			select { // it may have come just before
			case f := <-ch:
				return f, nil
			default:
			}
			return frame{}, &broken{err: context.Cause(c.ctx), sent: true}
		}
	}
}
