package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"fabgo/transport"
)

// small is the size up to which a file is held in memory: 1 MiB. Larger ones are opened again when they are sent.
const small = 1 << 20

func contentOf(fsys fs.FS, file string) (transport.Content, error) {
	f, err := fsys.Open(file)
	if err != nil {
		return transport.Content{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return transport.Content{}, err
	}
	if !st.Mode().IsRegular() {
		return transport.Content{}, errNoFile
	}
	if st.Size() <= small {
		b, err := io.ReadAll(io.LimitReader(f, small+1))
		if err != nil {
			return transport.Content{}, err
		}
		if len(b) <= small {
			return transport.Bytes(b), nil
		}
		return transport.Content{}, fmt.Errorf("it grew while it was read")
	}
	d, n, err := digestOf(f)
	if err != nil {
		return transport.Content{}, err
	}
	return transport.Source(d, n, func() (io.ReadCloser, error) { return fsys.Open(file) }), nil
}

// digestOf reads to the end.
func digestOf(r io.Reader) (transport.Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return transport.Digest("sha256:" + hex.EncodeToString(h.Sum(nil))), n, err
}

// tree lists a folder for AskTree: that of the name, with the files of the override laid over it.
func (c *Controller) tree(name string) ([]transport.SourceEntry, error) {
	fsys, dir, err := c.meant(name)
	if err != nil {
		return nil, err
	}
	folder := override(c.Override)
	over := folder.of(name)
	if over == "" {
		out := []transport.SourceEntry{}
		err := c.list(name, fsys, dir, func(e transport.SourceEntry) { out = append(out, e) })
		return out, err
	}
	found := listing{}
	if err := c.list(name, fsys, dir, found.add); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	err = c.list(name, rooted(c.Override), over, func(e transport.SourceEntry) {
		found.add(e)
		if e.Type != transport.Dir && c.Overridden != nil {
			c.Overridden(inTree(name, string(e.Path)), folder.path(path.Join(over, string(e.Path))))
		}
	})
	return slices.AppendSeq([]transport.SourceEntry{}, maps.Values(found)), err
}

// listing are the entries of a tree by their paths.
type listing map[transport.Text]transport.SourceEntry

// add puts an entry in the place of one of the same path, and of all that lies below it when it is no folder.
func (l listing) add(e transport.SourceEntry) {
	if old, ok := l[e.Path]; ok && old.Type == transport.Dir && e.Type != transport.Dir {
		maps.DeleteFunc(l, func(p transport.Text, _ transport.SourceEntry) bool {
			return strings.HasPrefix(string(p), string(e.Path)+"/")
		})
	}
	l[e.Path] = e
}

// list walks through a folder; folders come before what is in them.
func (c *Controller) list(name string, fsys fs.FS, dir string, add func(transport.SourceEntry)) error {
	fsys, done := opened(fsys)
	defer done()
	room := make([]byte, 128<<10)
	return fs.WalkDir(fsys, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p == dir {
			if !d.IsDir() {
				return fmt.Errorf("it is not a folder")
			}
			return nil
		}
		rel := p
		if dir != "." {
			rel = strings.TrimPrefix(p, dir+"/")
		}
		if err := c.mayRead(inTree(name, rel)); err != nil {
			return err // the digests of what is not told would tell it
		}
		e, err := sourceEntry(fsys, p, d, room)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		e.Path = transport.Text(rel)
		add(e)
		return nil
	})
}

// inTree is the name of a file of a folder.
func inTree(name, rel string) string { return strings.TrimSuffix(name, "/") + "/" + rel }

// sourceEntry is a row of the list of a tree. room is for reading.
func sourceEntry(fsys fs.FS, p string, d fs.DirEntry, room []byte) (transport.SourceEntry, error) {
	e := transport.SourceEntry{}
	switch {
	case d.IsDir():
		e.Type = transport.Dir
	case d.Type()&fs.ModeSymlink != 0:
		target, err := fs.ReadLink(fsys, p)
		if err != nil {
			return e, err
		}
		e.Type, e.Target = transport.Symlink, transport.Text(target)
	case d.Type().IsRegular():
		b, mode, whole, err := readSmall(fsys, p, room)
		if err != nil {
			return e, err
		}
		e.Type, e.Executable = transport.Regular, mode&0o100 != 0
		if e.Digest, e.Size = transport.DigestOf(b), int64(len(b)); whole {
			break
		}
		f, err := fsys.Open(p)
		if err != nil {
			return e, err
		}
		defer f.Close()
		if e.Digest, e.Size, err = digestOf(f); err != nil {
			return e, err
		}
	default:
		return e, fmt.Errorf("%s is a device, pipe or socket", path.Base(p))
	}
	return e, nil
}
