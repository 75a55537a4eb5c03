package controller

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"

	"fabgo/transport"
)

// mostPacked is how long a pack may be: 32 MiB. Whoever asks for more has to ask twice.
const mostPacked = 32 << 20

// pack answers AskFiles: the files of a folder that a manifest names, one behind the other. They must be what it says: it was made when the
// folder was listed.
func (c *Controller) pack(a transport.Ask) (transport.Content, error) {
	none := transport.Content{}
	if a.Files == nil {
		return none, refused("which files of it is not said")
	}
	entries, err := transport.PackedFiles(*a.Files)
	if err != nil {
		return none, refused(err.Error())
	}
	size := int64(0)
	for _, e := range entries {
		if err := c.mayRead(inTree(string(a.Name), string(e.Path))); err != nil {
			return none, err
		}
		if size += e.Size; size > mostPacked {
			return none, refused(fmt.Sprintf("a pack has at most %d bytes", mostPacked))
		}
	}
	if err := c.mayRead(string(a.Name)); err != nil {
		return none, err
	}
	p := &packed{c: c, tree: string(a.Name), entries: entries, size: size}
	b, err := p.read()
	if err != nil {
		return none, err
	}
	p.held = b
	return transport.Source(transport.DigestOf(b), size, p.open), nil
}

// packed are the files of a pack. Its bytes are held until they are opened for the first time, which is soon and mostly the only time; who
// opens it again has them read once more.
type packed struct {
	c       *Controller
	tree    string
	entries []transport.SourceEntry
	size    int64

	mu   sync.Mutex
	held []byte
}

func (p *packed) open() (io.ReadCloser, error) {
	p.mu.Lock()
	b := p.held
	p.held = nil
	p.mu.Unlock()
	if b == nil && p.size > 0 {
		var err error
		if b, err = p.read(); err != nil {
			return nil, err
		}
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (p *packed) read() ([]byte, error) {
	fsys, dir, err := p.c.meant(p.tree)
	if err != nil {
		return nil, err
	}
	fsys, done := opened(fsys)
	defer done()
	over := override(p.c.Override).of(p.tree)
	var laid fs.FS
	if over != "" {
		var done func()
		laid, done = opened(rooted(p.c.Override))
		defer done()
	}
	out := make([]byte, 0, p.size)
	for _, e := range p.entries {
		from, file := fsys, path.Join(dir, string(e.Path))
		if over != "" {
			if _, err := fs.Lstat(laid, path.Join(over, string(e.Path))); err == nil {
				from, file = laid, path.Join(over, string(e.Path))
			}
		}
		b, err := readPacked(from, file, e, out[len(out):cap(out)])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Path, err)
		}
		out = out[:len(out)+len(b)]
	}
	return out, nil
}

// readPacked reads a file into room, which is at least as large as it is to be.
func readPacked(fsys fs.FS, file string, e transport.SourceEntry, room []byte) ([]byte, error) {
	b, _, whole, err := readSmall(fsys, file, room[:min(e.Size+1, int64(len(room)))])
	if err != nil {
		return nil, err
	}
	if !whole || int64(len(b)) != e.Size || transport.DigestOf(b) != e.Digest {
		return nil, &transport.Error{Kind: transport.IO, Message: "it has changed since its folder was listed", Hint: "run again"}
	}
	return b, nil
}
