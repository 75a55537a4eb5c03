package evaluator

import (
	"context"

	"fabgo/transport"
	"fabgo/transport/local"
)

// near answers in the child what only looks, where the host is the machine that it runs on: a question to the parent and its answer take
// many times what a system call does. What is small and quick is answered here, which leaves out listings and the digests of large files;
// what changes goes to the parent, which holds the lock and writes the intent down, and so does what carries contents.
type near struct {
	machine *local.Host
	far     transport.Host
	secret  bool // the bundle knows a secret: what the host says of it is hidden by the parent, which has it
}

// nearDigest is the size up to which a digest is quick: 1 MiB.
const nearDigest = 1 << 20

// beside gives the host of a job its short way.
func beside(j Job, far transport.Host) (transport.Host, func() error, error) {
	if !j.Beside {
		return far, func() error { return nil }, nil
	}
	m, err := local.New(local.Options{})
	if err != nil {
		return nil, nil, err
	}
	return &near{machine: m, far: far}, m.Close, nil
}

// Do implements transport.Host.
func (n *near) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	if a, ok := op.(transport.Ask); ok && a.What == transport.AskSecret {
		n.secret = true
	}
	if n.secret {
		return n.far.Do(ctx, op)
	}
	switch o := op.(type) {
	case transport.Lookup:
		return n.machine.Do(ctx, o)
	case transport.Stat:
		if o.Against == nil && (!o.Digest || n.quick(ctx, o)) {
			return n.machine.Do(ctx, o)
		}
	case transport.Exec:
		if o.Change {
			defer n.machine.Forget()
		}
	}
	return n.far.Do(ctx, op)
}

// quick reports whether a Stat will not read much.
func (n *near) quick(ctx context.Context, o transport.Stat) bool {
	o.Digest = false
	fi, err := transport.Do[transport.FileInfo](ctx, n.machine, o)
	return err == nil && fi.Size <= nearDigest
}
