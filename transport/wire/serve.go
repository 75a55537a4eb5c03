package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"fabgo/transport"
)

// called begins to serve a call of the far end. It is known by its id before the next frame is read, which may cancel it.
func (c *Conn) called(f frame) error {
	fields, err := unpack(f.body, 3)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving[f.id] != nil || len(c.serving) == callLimit {
		return fmt.Errorf("the far end makes call %d, with %d others under way", f.id, len(c.serving))
	}
	ctx, cancel := context.WithCancelCause(c.ctx)
	c.serving[f.id] = cancel
	go func() {
		defer cancel(nil)
		c.serve(ctx, f.id, string(fields[0]), fields[1], fields[2:])
	}()
	return nil
}

// serve answers a call. Where nobody listens any more, nobody misses the answer.
func (c *Conn) serve(ctx context.Context, id uint64, name string, args []byte, contents [][]byte) {
	ended := func() {
		c.mu.Lock()
		delete(c.serving, id)
		c.mu.Unlock()
	}
	var fields [][]byte
	var err error
	what, changes := name, false
	if name == doCall {
		var op transport.Op
		if op, err = transport.DecodeOp(args); err != nil {
			err = &transport.Error{Kind: transport.Protocol, Message: err.Error(), Err: err}
		} else {
			what, changes = op.Kind(), op.Changes()
			fields, err = c.do(ctx, op, contents)
		}
	} else {
		fields, err = c.answer(ctx, name, args, contents)
	}
	if err == nil {
		if err = c.out.last(frame{kindReply, id, pack(fields...)}, ended); !isTooLarge(err) {
			return
		}
		err = undeliverable(what, changes, err)
	}
	if e := c.out.last(frame{kindFail, id, encodeError(err)}, ended); isTooLarge(e) {
		_ = c.out.last(frame{kindFail, id, encodeError(shortened(err))}, ended)
	}
}

func isTooLarge(err error) bool {
	_, ok := errors.AsType[tooLarge](err)
	return ok
}

// do has the host answer an op.
func (c *Conn) do(ctx context.Context, op transport.Op, contents [][]byte) ([][]byte, error) {
	if c.opts.Host == nil {
		return nil, &transport.Error{Kind: transport.Unsupported, Message: op.Kind() + ": nothing here answers ops"}
	}
	bind, err := c.binder(ctx, contents)
	if err != nil {
		return nil, &transport.Error{Kind: transport.Protocol, Message: op.Kind() + ": " + err.Error(), Err: err}
	}
	res, err := c.opts.Host.Do(ctx, transport.BindOp(op, bind))
	if err != nil {
		return nil, err
	}
	// The type is not sent: it follows from the op.
	if want, err := transport.DecodeResult(op, []byte("{}")); err != nil || reflect.TypeOf(res) != reflect.TypeOf(want) {
		return nil, &transport.Error{Kind: transport.Protocol, Message: fmt.Sprintf("%s: the host answered with %T instead of %T", op.Kind(), res, want)}
	}
	var named []transport.Content
	if d, ok := res.(transport.Data); ok && d.Content.Known() {
		named = append(named, d.Content)
	}
	more, _, err := c.attach(named, attachAnswerOf(op), true)
	if err != nil {
		return nil, err
	}
	return append([][]byte{transport.EncodeResult(res)}, more...), nil
}

// answer has Options.Call answer any other call.
func (c *Conn) answer(ctx context.Context, name string, args []byte, contents [][]byte) ([][]byte, error) {
	if c.opts.Call == nil {
		return nil, &transport.Error{Kind: transport.Unsupported, Message: name + ": nothing here answers this"}
	}
	bind, err := c.binder(ctx, contents)
	if err != nil {
		return nil, &transport.Error{Kind: transport.Protocol, Message: name + ": " + err.Error(), Err: err}
	}
	var a callArgs
	if err := json.Unmarshal(args, &a); err != nil {
		return nil, &transport.Error{Kind: transport.Protocol, Message: name + ": " + err.Error(), Err: err}
	}
	if a.Content != nil {
		bound := bind(*a.Content)
		bound.Secret = a.Content.Secret
		a.Content = &bound
	}
	res, err := c.opts.Call(ctx, name, a.Args, a.Content)
	if err != nil {
		return nil, err
	}
	return [][]byte{res, pack()}, nil
}
