//go:build linux || darwin || freebsd

package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// Host is this machine. It is safe for concurrent use.
type Host struct {
	opts   Options
	tables *tables.Reader
	self   int // the acting user
	bus    bus

	unsynced unsynced

	byComponent bool // as on a kernel without openat2
	anyoneLinks bool // as on a kernel that does not protect hard links

	mu            sync.Mutex
	passwd, group tables.Stamp // of the files that owners and groups are out of
	owners        map[int]transport.Text
	groups        map[int]transport.Text
}

// New makes the Host.
func New(o Options) (*Host, error) {
	if o.Grace == 0 {
		o.Grace = 2 * time.Second
	}
	h := &Host{opts: o, self: os.Geteuid()}
	h.tables = tables.NewReader(source{h})
	return h, nil
}

// Close ends the connection to systemd, if there is one, and does what Sync does. The Host may be used on: it makes another.
func (h *Host) Close() error { return errors.Join(h.Sync(), h.bus.close()) }

// Do implements transport.Host. Ask is not for a machine: an error of kind Unsupported.
func (h *Host) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, interrupted(op.Kind(), context.Cause(ctx))
	}
	switch o := op.(type) {
	case transport.Stat:
		return answer(h.stat(ctx, o))
	case transport.List:
		return answer(h.list(ctx, o))
	case transport.Read:
		return answer(h.read(o))
	case transport.Lookup:
		return answer(h.tables.Lookup(ctx, o))
	case transport.Exec:
		if o.Change {
			defer h.forgetNames()
		}
		return answer(h.exec(ctx, o))
	case transport.Write:
		return answer(h.write(ctx, o))
	case transport.Unpack:
		return answer(transport.Done{}, h.unpack(ctx, o))
	case transport.Mkdir:
		return answer(transport.Done{}, h.mkdir(ctx, o))
	case transport.Link:
		return answer(transport.Done{}, h.link(ctx, o))
	case transport.Remove:
		return answer(transport.Done{}, h.remove(ctx, o))
	case transport.SetAttr:
		return answer(transport.Done{}, h.setAttr(ctx, o))
	}
	return nil, &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("%s: not a question for a machine", op.Kind())}
}

func answer[R transport.Result](r R, err error) (transport.Result, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// checkPath refuses what NewPath would not have made: ops may come from a journal or over a wire.
func checkPath(what string, p transport.Path) error {
	if c, err := transport.NewPath(string(p)); err != nil {
		return &transport.Error{Kind: transport.Refused, Message: what + ": " + err.Error(), Path: p, Err: err}
	} else if c != p {
		return &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("%s: path %q is not in its short form, %q", what, p, c), Path: p}
	}
	return nil
}

// checkMode refuses a mode that ParseMode would not have made.
func checkMode(what string, p transport.Path, modes ...transport.Mode) error {
	for _, m := range modes {
		if m == "" {
			continue
		}
		if _, err := transport.ParseMode(string(m)); err != nil {
			return &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("%s %s: %v", what, p, err), Path: p, Err: err}
		}
	}
	return nil
}
