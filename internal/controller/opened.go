package controller

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// opened is a file system for many questions in a row: of a rooted one the folder stays open, and so does the one in it that was read in
// last. done closes them.
func opened(fsys fs.FS) (_ fs.FS, done func()) {
	r, ok := fsys.(rooted)
	if !ok {
		return fsys, func() {}
	}
	root, err := os.OpenRoot(string(r))
	if err != nil {
		return fsys, func() {} // which tells why
	}
	b := &beneath{root: root}
	return b, b.close
}

// beneath is an open folder that symlinks do not lead out of.
type beneath struct {
	root *os.Root
	at   string
	dir  *os.Root // at
	fd   *os.File // the same, where it was needed
}

func (b *beneath) close() {
	b.leave()
	b.root.Close()
}

// leave closes the folder that was read in last.
func (b *beneath) leave() {
	if b.dir != nil {
		b.dir.Close()
	}
	if b.fd != nil {
		b.fd.Close()
	}
	b.at, b.dir, b.fd = "", nil, nil
}

// folder opens the folder of a name, and answers its last name.
func (b *beneath) folder(name string) (*os.Root, string, error) {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if b.dir != nil && b.at == dir {
		return b.dir, base, nil
	}
	d, err := b.root.OpenRoot(filepath.FromSlash(dir))
	if err != nil {
		return nil, "", err
	}
	b.leave()
	b.at, b.dir = dir, d
	return d, base, nil
}

// descriptor is folder for system calls.
func (b *beneath) descriptor(name string) (int, string, error) {
	dir, base, err := b.folder(name)
	if err != nil {
		return -1, "", err
	}
	if b.fd == nil {
		if b.fd, err = dir.Open("."); err != nil {
			return -1, "", err
		}
	}
	return int(b.fd.Fd()), base, nil
}

// Open implements fs.FS.
func (b *beneath) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	dir, base, err := b.folder(name)
	if err != nil {
		return nil, err
	}
	return dir.Open(base)
}

// ReadLink implements fs.ReadLinkFS.
func (b *beneath) ReadLink(name string) (string, error) {
	dir, base, err := b.folder(name)
	if err != nil {
		return "", err
	}
	return dir.Readlink(base)
}

// Lstat implements fs.ReadLinkFS.
func (b *beneath) Lstat(name string) (fs.FileInfo, error) {
	dir, base, err := b.folder(name)
	if err != nil {
		return nil, err
	}
	return dir.Lstat(base)
}
