package helper

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fabgo/transport"
	"fabgo/transport/wire"
)

// asks answers what a bundle asks the controller: with what came along with the job, else by asking over the wire. A controller that is gone
// is waited for, and asked again: its answers do not depend on how often it is asked.
type asks struct {
	life     context.Context // of the run: what is read may be read long after the op that asked for it
	hub      *hub
	below    transport.Host
	files    map[string]File
	cache    string // a folder of contents by digest
	patience time.Duration
	skew     time.Duration
	ahead    readahead
}

// Do implements transport.Host.
func (a *asks) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	ask, ok := op.(transport.Ask)
	if !ok {
		return a.below.Do(ctx, op)
	}
	switch ask.What {
	case transport.AskTime:
		now := time.Now().Add(a.skew).UTC().Format("2006-01-02T15:04:05Z")
		return transport.Data{Content: transport.String(now)}, nil
	case transport.AskToken:
		var b [16]byte
		rand.Read(b[:])
		return transport.Data{Content: transport.String(hex.EncodeToString(b[:]))}, nil
	case transport.AskFile:
		if f, ok := a.files[string(ask.Name)]; ok {
			return transport.Data{Content: a.content(f)}, nil
		}
		return a.ahead.file(string(ask.Name), func(name string) (transport.Result, error) {
			data, err := a.ask(a.life, transport.Ask{What: transport.AskFile, Name: transport.Text(name)})
			if err != nil {
				return nil, err
			}
			data.Content = a.content(File{Content: data.Content})
			return data, nil
		})
	}
	data, err := a.ask(ctx, ask)
	if err != nil {
		return nil, err
	}
	if ask.What == transport.AskFiles {
		a.hub.from(data.Content.Digest)
		data.Content = a.streamed(data.Content)
	}
	if ask.What == transport.AskTree {
		a.ahead.tree(string(ask.Name), data.Content)
	}
	return data, nil
}

// ask asks the controller.
func (a *asks) ask(ctx context.Context, ask transport.Ask) (data transport.Data, err error) {
	err = a.again(ctx, string(ask.Name), func(c *wire.Conn) (err error) {
		data, err = transport.Do[transport.Data](ctx, c, ask)
		return err
	})
	return data, err
}

// again asks until a controller has answered.
func (a *asks) again(ctx context.Context, what string, ask func(*wire.Conn) error) error {
	for {
		c := a.hub.controller(a.patience, ctx.Done())
		if err := ctx.Err(); err != nil {
			return &transport.Error{Kind: transport.Interrupted, Message: what + ": " + context.Cause(ctx).Error(), Err: err}
		}
		if c == nil {
			return &transport.Error{Kind: transport.IO, Message: fmt.Sprintf("ask the controller for %s: it is gone, and did not come back within %s", what, a.patience),
				Hint: "run again; --reconnect sets how long it is waited for"}
		}
		err := ask(c)
		if err == nil || !c.Over() {
			return err
		}
		<-c.Done() // until then it counts as the one to ask
	}
}

// content is a file of the bundle: with its bytes at hand, in the cache, or to be pulled when they are needed.
func (a *asks) content(f File) transport.Content {
	a.hub.from(f.Content.Digest)
	if f.Bytes != nil || f.Content.Size == 0 {
		if c := transport.Bytes(f.Bytes); c.Digest == f.Content.Digest {
			return c
		}
	}
	if f.Content.Size <= attached && f.Content.Known() {
		if b, err := f.Content.ReadAll(attached); err == nil {
			return transport.Bytes(b)
		}
	}
	if name := a.cached(f.Content.Digest); name != "" {
		if c, err := transport.LocalFile(name); err == nil && c.Digest == f.Content.Digest {
			return c
		}
	}
	return transport.Source(f.Content.Digest, f.Content.Size, func() (io.ReadCloser, error) {
		r := &resuming{asks: a, ctx: a.life, content: f.Content}
		return a.caching(f.Content, r), nil
	})
}

// streamed is a pack: its bytes are at hand or pulled, and not cached, for the files that were written are what is kept of it.
func (a *asks) streamed(c transport.Content) transport.Content {
	if c.Size <= attached && c.Known() {
		if b, err := c.ReadAll(attached); err == nil {
			return transport.Bytes(b)
		}
	}
	return transport.Source(c.Digest, c.Size, func() (io.ReadCloser, error) {
		return &resuming{asks: a, ctx: a.life, content: c}, nil
	})
}

// attached is the size up to which a content has come along with the answer that names it; the bytes of larger ones are still to be had.
const attached = 256 << 10

// cacheable is the size up to which files of the bundle are kept on the target for the next run: 1 MiB.
const cacheable = 1 << 20

func (a *asks) cached(d transport.Digest) string {
	name := strings.TrimPrefix(string(d), "sha256:")
	if a.cache == "" || len(name) != 64 || strings.ContainsAny(name, "/.") {
		return ""
	}
	return filepath.Join(a.cache, name)
}

// caching writes what is read to the cache as well. A cache that cannot be written is none.
func (a *asks) caching(c transport.Content, r io.ReadCloser) io.ReadCloser {
	name := a.cached(c.Digest)
	if name == "" || c.Size > cacheable {
		return r
	}
	if os.MkdirAll(a.cache, 0o700) != nil {
		return r
	}
	f, err := os.CreateTemp(a.cache, ".part-")
	if err != nil {
		return r
	}
	return &tee{r: r, f: f, name: name, left: c.Size}
}

type tee struct {
	r    io.ReadCloser
	f    *os.File
	name string
	left int64
}

// Read implements io.Reader.
func (t *tee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if t.f != nil && n > 0 {
		t.left -= int64(n)
		if _, werr := t.f.Write(p[:n]); werr != nil {
			t.drop()
		}
	}
	return n, err
}

// Close implements io.Closer.
func (t *tee) Close() error {
	if t.f != nil && t.left == 0 {
		if t.f.Close() == nil {
			_ = os.Rename(t.f.Name(), t.name)
		} else {
			os.Remove(t.f.Name())
		}
		t.f = nil
	}
	t.drop()
	return t.r.Close()
}

func (t *tee) drop() {
	if t.f != nil {
		t.f.Close()
		os.Remove(t.f.Name())
		t.f = nil
	}
}

// resuming reads a content of the controller's, across the loss of connections.
type resuming struct {
	asks    *asks
	ctx     context.Context
	content transport.Content
	at      int64
	conn    *wire.Conn
	r       io.ReadCloser
}

// Read implements io.Reader.
func (r *resuming) Read(p []byte) (int, error) {
	for {
		if r.r == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.r.Read(p)
		r.at += int64(n)
		if n > 0 || err == nil || errors.Is(err, io.EOF) || !r.conn.Over() {
			if n > 0 {
				err = nil // what is wrong shows with the next bytes
			}
			return n, err
		}
		r.r.Close()
		r.r = nil
	}
}

func (r *resuming) open() error {
	return r.asks.again(r.ctx, "a file of "+fmt.Sprint(r.content.Size)+" bytes", func(c *wire.Conn) error {
		rd, err := c.Remote(transport.Content{Digest: r.content.Digest, Size: r.content.Size}).Open()
		if err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, rd, r.at); err != nil {
			rd.Close()
			return err
		}
		r.conn, r.r = c, rd
		return nil
	})
}

// Close implements io.Closer.
func (r *resuming) Close() error {
	if r.r == nil {
		return nil
	}
	return r.r.Close()
}
