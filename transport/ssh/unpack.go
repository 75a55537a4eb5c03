package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"fabgo/transport"
)

// unpack writes the files one by one: the portable way has no quicker one that is as safe.
func (h *Host) unpack(ctx context.Context, l *link, o transport.Unpack) (transport.Done, error) {
	const what = "unpack"
	if err := checkPath(what, o.Path); err != nil {
		return transport.Done{}, err
	}
	entries, err := o.Entries()
	if err != nil {
		return transport.Done{}, err
	}
	if _, err := h.owners(ctx, l, what, o.Path, o.Owner, o.Group); err != nil {
		return transport.Done{}, err
	}
	written := 0
	return transport.Done{}, o.Each(entries, func(e transport.SourceEntry, b []byte) error {
		w := transport.Write{
			Path: o.Path.Join(string(e.Path)), Content: transport.Bytes(bytes.Clone(b)), Mode: e.Mode, Owner: o.Owner, Group: o.Group,
		}
		if err := checkPath(what, w.Path); err != nil {
			return err
		}
		_, err := h.write(ctx, l, w)
		if b, ok := errors.AsType[*broken](err); ok && written > 0 { // it is not in the chain: the op would be sent once more for it
			return &transport.Error{
				Kind: transport.Lost, Path: w.Path,
				Message: fmt.Sprintf("unpack %s: the connection was lost after %d of %d files: %v", show(o.Path), written, len(entries), b.err),
				Hint:    "run again",
			}
		}
		written++
		return err
	})
}
