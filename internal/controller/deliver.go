package controller

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"fabgo/transport"
)

// Deliver puts a file of a host where name says: a path of the repository ("//fetched/web1/etc/motd") or, with AbsolutePaths, one of this
// machine. Missing folders are made. What was there is replaced at once, when all bytes have come and are those that the digest names; a file
// that held them already is left as it is. They are read in any case: what a run asks of its host must not depend on this machine. A new
// file is for its owner only, since what root may read on a host need not be for everyone here; one that is there keeps its mode. Libraries
// and the override are not written to, and symlinks lead nowhere outside.
func (c *Controller) Deliver(name string, content transport.Content) error {
	if err := c.deliver(name, content); err != nil {
		return explainDelivery(name, err)
	}
	return nil
}

func (c *Controller) deliver(name string, content transport.Content) error {
	if err := c.mayWrite(name); err != nil {
		return err
	}
	dir, file := c.Root, ""
	switch {
	case strings.HasPrefix(name, "//"):
		file = path.Clean(name[2:])
	case strings.HasPrefix(name, "/"):
		if !c.AbsolutePaths {
			return refused("absolute paths are not written")
		}
		clean := path.Clean(name)
		dir, file = path.Dir(clean), path.Base(clean)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	default:
		return refused("only the repository is written to, not libraries")
	}
	if file == "." || !filepath.IsLocal(filepath.FromSlash(file)) {
		return refused("it is no name of a file in the repository")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return replace(root, filepath.FromSlash(file), content)
}

// replace makes a file below root hold a content, through a temporary file beside it.
func replace(root *os.Root, file string, content transport.Content) error {
	mode := fs.FileMode(0o600)
	switch st, err := root.Lstat(file); {
	case err == nil && st.IsDir():
		return refused("there is a folder of that name")
	case err == nil && !st.Mode().IsRegular():
		return refused("what is there is no regular file")
	case err == nil:
		mode = st.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := root.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(file), ".fabgo-"+rand.Text())
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = fill(f, mode, content); err == nil && !holds(root, file, content) {
		if err = root.Rename(tmp, file); err == nil {
			return nil
		}
	}
	root.Remove(tmp)
	return err
}

// holds reports whether a file has a content already. One that cannot be read does not: it is replaced, if it can be.
func holds(root *os.Root, file string, content transport.Content) bool {
	f, err := root.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() != content.Size {
		return false
	}
	d, _, err := digestOf(f)
	return err == nil && d == content.Digest
}

func fill(f *os.File, mode fs.FileMode, content transport.Content) error {
	err := copyTo(f, content)
	if err == nil && mode != 0o600 {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func copyTo(w io.Writer, content transport.Content) error {
	r, err := content.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

func refused(why string) error { return &transport.Error{Kind: transport.Refused, Message: why} }

// explainDelivery sorts the errors of this machine. Those of the host, which end the reading, keep their kind.
func explainDelivery(name string, err error) error {
	e := &transport.Error{Kind: transport.IO, Message: fmt.Sprintf("write %s on the controller: %v", name, err), Err: err}
	if kind := transport.KindOf(err); kind != "" {
		e.Kind = kind
	} else if errors.Is(err, fs.ErrPermission) {
		e.Kind = transport.Denied
	}
	return e
}
