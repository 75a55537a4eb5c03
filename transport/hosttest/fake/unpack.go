package fake

import (
	"bytes"
	"context"

	"fabgo/transport"
)

func (f *Fake) unpack(ctx context.Context, o transport.Unpack) error {
	const what = "unpack"
	if _, err := transport.NewPath(string(o.Path)); err != nil {
		return fault(transport.Refused, what, o.Path, err.Error())
	}
	entries, err := o.Entries()
	if err != nil {
		return err
	}
	f.mu.Lock()
	_, _, _, err = f.ids(what, o.Path, o.Owner, o.Group)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return o.Each(entries, func(e transport.SourceEntry, b []byte) error {
		if err := ctx.Err(); err != nil {
			return interrupted(what, err)
		}
		w := transport.Write{Path: o.Path.Join(string(e.Path)), Mode: e.Mode, Owner: o.Owner, Group: o.Group}
		f.mu.Lock()
		defer f.mu.Unlock()
		at, file, err := f.planWrite(w, bytes.Clone(b))
		if err == nil {
			at.dir.names[at.name] = file
		}
		return err
	})
}
