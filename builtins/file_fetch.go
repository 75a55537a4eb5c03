package builtins

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"fabgo/transport"
)

func fileFetch(c *call, a struct {
	common
	Path      transport.Path `arg:"path"`
	Dest      string         `arg:"dest"`
	Flat      bool           `arg:"flat"`
	Required  bool           `arg:"required"`
	Sensitive bool           `arg:"sensitive"`
}) (starlark.Value, error) {
	dest := strings.TrimSuffix(a.Dest, "/")
	switch {
	case !a.Flat:
		dest += "/" + c.Session.Name + string(a.Path)
	case strings.HasSuffix(a.Dest, "/"):
		dest += "/" + a.Path.Base()
	}
	name, err := c.locate(dest)
	if err != nil {
		return nil, fmt.Errorf("file.fetch: dest: %w", err)
	}
	var fi transport.FileInfo
	err = c.Session.Observe(c.step, "file:"+string(a.Path), func(ctx context.Context, h transport.Host) error {
		if fi, err = transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: a.Path, Follow: true, Digest: true}); err != nil {
			return err
		}
		switch {
		case fi.Type == transport.Absent && !a.Required:
			return nil
		case fi.Type == transport.Absent:
			return &transport.Error{Kind: transport.NotFound, Path: a.Path, Message: fmt.Sprintf("fetch %s: there is no such file", a.Path), Hint: "required = False takes that for an answer"}
		case fi.Type != transport.Regular:
			return &transport.Error{Kind: transport.Refused, Path: a.Path, Message: fmt.Sprintf("fetch %s: it is a %s, not a file", a.Path, fi.Type)}
		case a.Sensitive && fi.Size > transport.ReadLimit:
			return &transport.Error{Kind: transport.Refused, Path: a.Path, Message: fmt.Sprintf("fetch %s: only files up to %d MiB can be kept out of the journal", a.Path, transport.ReadLimit>>20)}
		}
		if a.Sensitive {
			c.Session.HideReads()
		}
		switch {
		case c.Session.Planning(): // the controller is not the host, but a plan leaves it alone too
			return nil
		case c.Replaying:
			return readAgain(ctx, h, a.Path)
		case c.Deliver == nil:
			return &transport.Error{Kind: transport.Unsupported, Path: a.Path, Message: fmt.Sprintf("fetch %s: this run has no way to write on the controller", a.Path)}
		}
		whole := transport.Source(fi.Digest, fi.Size, func() (io.ReadCloser, error) {
			return io.NopCloser(&pieces{ctx: ctx, host: h, path: a.Path}), nil
		})
		return c.Deliver(name, whole)
	})
	if err != nil {
		return nil, err
	}
	if fi.Type == transport.Absent {
		return starlark.None, nil
	}
	return starlarkstruct.FromStringDict(starlark.String("fetched"), starlark.StringDict{
		"dest": starlark.String(name), "size": starlark.MakeInt64(fi.Size), "digest": starlark.String(fi.Digest),
	}), nil
}

// readAgain asks what a run asked to read the file, without its bytes, which a journal need not have.
func readAgain(ctx context.Context, h transport.Host, p transport.Path) error {
	for offset := int64(0); ; {
		d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: p, Offset: offset})
		if err != nil {
			return err
		}
		if offset += d.Content.Size; !d.More || d.Content.Size == 0 {
			return nil
		}
	}
}

// pieces reads a file of a host piece by piece.
type pieces struct {
	ctx    context.Context
	host   transport.Host
	path   transport.Path
	offset int64
	buf    bytes.Reader
	last   bool
}

func (p *pieces) Read(b []byte) (int, error) {
	for p.buf.Len() == 0 {
		if p.last {
			return 0, io.EOF
		}
		d, err := transport.Do[transport.Data](p.ctx, p.host, transport.Read{Path: p.path, Offset: p.offset})
		if err != nil {
			return 0, err
		}
		piece, err := d.Content.ReadAll(transport.ReadLimit)
		if err != nil {
			return 0, err
		}
		p.buf.Reset(piece)
		p.offset += int64(len(piece))
		p.last = !d.More || len(piece) == 0
	}
	return p.buf.Read(b)
}
