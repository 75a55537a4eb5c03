package wire

import (
	"context"
	"fmt"
	"io"
	"slices"

	"fabgo/transport"
)

// attachLimit is the size up to which contents travel with the frame that names them.
const attachLimit = 256 << 10

// contentsOf are the contents that an op names and whose bytes can be had here.
func contentsOf(op transport.Op) []transport.Content {
	var out []transport.Content
	transport.BindOp(op, func(c transport.Content) transport.Content {
		if c.Known() {
			out = append(out, c)
		}
		return c
	})
	return out
}

// attachOf is the size up to which the contents of an op are attached to it. A comparison does with the digest, and who needs the bytes all
// the same can pull them.
func attachOf(op transport.Op) int64 {
	if _, ok := op.(transport.Stat); ok {
		return -1
	}
	return attachLimit
}

// attachAnswerOf is the size up to which the content of an answer is attached to it. Who reads a file wants its bytes, and attached they
// need not be kept here until nobody can pull them any more; a file of the bundle is often there already, so its name may do.
func attachAnswerOf(op transport.Op) int64 {
	if ask, ok := op.(transport.Ask); ok && (ask.What == transport.AskFile || ask.What == transport.AskFiles) {
		return attachLimit
	}
	return transport.ReadLimit
}

// offer is a content that the far end may pull.
type offer struct {
	content transport.Content
	uses    int  // calls under way that name it
	keep    bool // for the life of the connection
}

// Offer lets the far end pull a content for the life of the connection.
func (c *Conn) Offer(content transport.Content) { c.offer(content, true) }

func (c *Conn) offer(content transport.Content, keep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.offers[content.Digest]
	if o == nil {
		o = &offer{content: content}
		c.offers[content.Digest] = o
	}
	if keep {
		o.keep = true
	} else {
		o.uses++
	}
}

func (c *Conn) withdraw(ds [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range ds {
		if o := c.offers[transport.Digest(d)]; o != nil {
			if o.uses--; o.uses <= 0 && !o.keep {
				delete(c.offers, transport.Digest(d))
			}
		}
	}
}

// attach gives the fields that follow a call or a reply: contents up to limit with their bytes, the digests of the others, which are
// offered until release, or for good.
func (c *Conn) attach(contents []transport.Content, limit int64, keep bool) (fields [][]byte, release func(), err error) {
	var offered, attached [][]byte
	release = func() {
		if !keep {
			c.withdraw(offered)
		}
	}
	for _, content := range contents {
		if content.Size > limit {
			c.offer(content, keep)
			offered = append(offered, []byte(content.Digest))
			continue
		}
		b, err := content.ReadAll(limit)
		if err != nil {
			release()
			return nil, func() {}, &transport.Error{Kind: transport.IO, Message: "read what is to be sent: " + err.Error(), Err: err}
		}
		attached = append(attached, b)
	}
	return append([][]byte{pack(offered...)}, attached...), release, nil
}

// binder reads the fields that attach made. It gives contents that the far end named their bytes: attached ones, those that came from
// here, else such as are pulled when they are opened, until ctx ends. Those that the far end itself knows by name only stay so.
func (c *Conn) binder(ctx context.Context, fields [][]byte) (func(transport.Content) transport.Content, error) {
	offered, err := unpack(fields[0], 0)
	if err != nil {
		return nil, err
	}
	var attached []transport.Content
	for _, b := range fields[1:] {
		attached = append(attached, transport.Bytes(b))
	}
	return func(content transport.Content) transport.Content {
		if i := slices.IndexFunc(attached, func(a transport.Content) bool { return a.Digest == content.Digest }); i >= 0 {
			return attached[i]
		}
		c.mu.Lock()
		o := c.offers[content.Digest]
		c.mu.Unlock()
		if o != nil {
			return o.content
		}
		if slices.ContainsFunc(offered, func(d []byte) bool { return string(d) == string(content.Digest) }) {
			return c.remote(ctx, content)
		}
		return content
	}, nil
}

// Remote is a content that the far end has: its bytes are pulled each time it is opened.
func (c *Conn) Remote(content transport.Content) transport.Content { return c.remote(c.ctx, content) }

// remote is Remote for as long as ctx lasts: a pull that waits for bytes ends with it.
func (c *Conn) remote(ctx context.Context, content transport.Content) transport.Content {
	if empty := transport.Bytes(nil); content.Digest == empty.Digest {
		return empty
	}
	return transport.Source(content.Digest, content.Size, func() (io.ReadCloser, error) {
		r, err := c.pull(ctx, content.Digest)
		if err != nil {
			return nil, fmt.Errorf("pull a content: %w", err)
		}
		return r, nil
	})
}
