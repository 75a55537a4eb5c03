package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"fabgo/transport"
)

// broken says that the connection ended under a call.
type broken struct {
	err  error
	sent bool // the call may have reached the far end
}

func (b *broken) Error() string { return b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

func (b *broken) explain(what string, changes bool) error {
	if b.sent && changes {
		return &transport.Error{Kind: transport.Lost, Message: fmt.Sprintf("%s: the connection was lost under the change: %v", what, b.err),
			Hint: "whether it happened is not known: look at the host, or run again", Err: b.err}
	}
	return &transport.Error{Kind: transport.Unreachable, Message: fmt.Sprintf("%s: the connection was lost: %v", what, b.err), Err: b.err}
}

// undeliverable is the answer in place of one that is too large to send.
func undeliverable(what string, changes bool, err error) *transport.Error {
	e := &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("%s: the answer: %v", what, err), Hint: "ask for less at once", Err: err}
	if changes {
		e.Kind, e.Message = transport.Lost, fmt.Sprintf("%s: it was done, but the answer cannot be told: %v", what, err)
	}
	return e
}

// encodeError is an error for the far end. Its cause stays here.
func encodeError(err error) []byte {
	e := transport.Error{Kind: transport.IO}
	if te, ok := errors.AsType[*transport.Error](err); ok {
		e = *te
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e.Kind = transport.Interrupted
	}
	e.Message = err.Error() // what was wrapped around it is part of what was tried
	if e.Message == "" {
		e.Message = "failed without a reason"
	}
	if e.Kind == "" {
		e.Kind = transport.IO
	}
	b, err := json.Marshal(&e)
	if err != nil {
		panic(fmt.Sprintf("wire: encode %T: %v", e, err)) // it is a flat value
	}
	return b
}

// shortened is an error that fits into a frame: its message is cut, and of what a command said the end is left.
func shortened(err error) *transport.Error {
	const most = 1 << 20
	e := decodeError(encodeError(err))
	e.Message = e.Message[:min(len(e.Message), most)]
	e.Stderr = e.Stderr[max(0, len(e.Stderr)-most):]
	e.Hint = e.Hint[:min(len(e.Hint), most)]
	e.Path = e.Path[:min(len(e.Path), most)]
	return e
}

func decodeError(b []byte) *transport.Error {
	var e transport.Error
	if err := json.Unmarshal(b, &e); err != nil || e.Kind == "" || e.Message == "" {
		return &transport.Error{Kind: transport.Protocol, Message: "the far end reports an error that cannot be read"}
	}
	return &e
}
