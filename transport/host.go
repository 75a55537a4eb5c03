// Package transport is the seam between a bundle and a machine: what a host can be asked, and what it answers.
//
// The one rule: a host is one method, Do, over a small closed set of ops. Whatever else there is (plan, journal, secrets, the SSH
// connection, the helper beside the host) is a decorator or an implementation of that method.
//
// The trap: a non-zero exit of a command is a Result, an error means that the question was not answered; and an error of kind Lost
// means that a change was sent and nobody knows whether it happened, so nothing may send it again.
//
// The promise: ops and results are plain values with one canonical encoding, so that an op has a digest, a journal can keep it, a
// wire can carry it and a replay can answer it.
package transport

import (
	"context"
	"fmt"
)

// Host is a machine, or anything that answers for one. Do is safe for concurrent use unless an implementation says otherwise.
// The dynamic type of the result belongs to that of the op (see ResultFor); a nil error comes with a non-nil result.
type Host interface {
	Do(ctx context.Context, op Op) (Result, error)
}

// HostFunc makes a Host of a function.
type HostFunc func(ctx context.Context, op Op) (Result, error)

// Do calls f.
func (f HostFunc) Do(ctx context.Context, op Op) (Result, error) { return f(ctx, op) }

// Do asks h and returns the result as the type that the caller names. A host that answers with another type breaks the protocol.
func Do[R Result](ctx context.Context, h Host, op Op) (R, error) {
	var zero R
	res, err := h.Do(ctx, op)
	if err != nil {
		return zero, err
	}
	r, ok := res.(R)
	if !ok {
		return zero, &Error{Kind: Protocol, Message: fmt.Sprintf("%s: the host answered with %T instead of %T", op.Kind(), res, zero)}
	}
	return r, nil
}

// ReadOnly is h without its changing ops: each of them is refused here and never reaches h. A plan stands on it.
func ReadOnly(h Host) Host {
	return HostFunc(func(ctx context.Context, op Op) (Result, error) {
		if op.Changes() {
			return nil, &Error{Kind: Refused, Message: op.Kind() + ": a plan changes nothing", Hint: "this is a fault in fabgo: please report it"}
		}
		return h.Do(ctx, op)
	})
}
