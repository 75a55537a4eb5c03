//go:build linux || darwin || freebsd

package local

import (
	"context"
	"path"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// unpacking is an Unpack under way. What a Write does for its file it does for many: the folder is walked to once, and those that replace
// others are brought to the disk together, before they do.
type unpacking struct {
	*Host
	op     transport.Unpack
	wanted ownership

	at      string // the folder of the last file, below op.Path
	dirs    []*folder
	waiting []waiting
}

const unpackWhat = "unpack"

// waiting is a file that is whole and has still its temporary name.
type waiting struct {
	path      transport.Path
	dir       *folder
	tmp, name string
	fd        int
	dev       uint64
}

// mostWaiting is how many files, and so how many descriptors, wait to be brought to the disk.
const mostWaiting = 256

func (h *Host) unpack(ctx context.Context, o transport.Unpack) error {
	if err := checkPath(unpackWhat, o.Path); err != nil {
		return err
	}
	entries, err := o.Entries()
	if err != nil {
		return err
	}
	u := &unpacking{Host: h, op: o}
	if u.wanted, err = h.ownership(ctx, unpackWhat, o.Path, o.Owner, o.Group); err != nil {
		return err
	}
	defer u.close()
	err = o.Each(entries, func(e transport.SourceEntry, b []byte) error {
		p := o.Path.Join(string(e.Path))
		if err := ctx.Err(); err != nil {
			return interrupted(unpackWhat+" "+show(p), err)
		}
		return u.file(p, e, b)
	})
	if err != nil {
		return err
	}
	return u.flush()
}

// close gives up what is still waiting.
func (u *unpacking) close() {
	for _, w := range u.waiting {
		unix.Close(w.fd)
		_ = unix.Unlinkat(w.dir.fd, w.tmp, 0)
	}
	u.waiting = nil
	u.leave()
}

// leave closes the folders.
func (u *unpacking) leave() {
	for _, d := range u.dirs {
		d.close()
	}
	u.dirs = nil
}

func (u *unpacking) folder(p transport.Path, e transport.SourceEntry) (*folder, error) {
	at := path.Dir(string(e.Path))
	if n := len(u.dirs); n > 0 && u.at == at {
		return u.dirs[n-1], nil
	}
	if len(u.dirs) == mostWaiting {
		if err := u.flush(); err != nil {
			return nil, err
		}
	}
	dir, _, err := u.walk(unpackWhat, p)
	if err != nil {
		return nil, err
	}
	u.at, u.dirs = at, append(u.dirs, dir)
	return dir, nil
}

func (u *unpacking) file(p transport.Path, e transport.SourceEntry, b []byte) error {
	dir, err := u.folder(p, e)
	if err != nil {
		return err
	}
	name := p.Base()
	old, exists, err := replaceable(unpackWhat, p, dir, name)
	if err != nil {
		return err
	}
	uid, gid, mode := u.become(u.wanted, e.Mode, old, exists)
	tmp := tempName(name)
	fd, err := unix.Openat(dir.fd, tmp, newFile, 0o600)
	if err != nil {
		return fail(unpackWhat, p, err)
	}
	w := waiting{path: p, dir: dir, tmp: tmp, name: name, fd: fd}
	u.waiting = append(u.waiting, w) // from here on close takes it away
	if err := handOver(fd, uid, gid, mode); err != nil {
		return fail(unpackWhat, p, err)
	}
	if err := writeAll(fd, b); err != nil {
		return fail(unpackWhat, p, err)
	}
	if exists {
		if err := copyAttrs(dir.fd, name, fd, mode); err != nil {
			return fail(unpackWhat, p, err)
		}
	}
	st, err := setMode(fd, unpackWhat, p, mode)
	if err != nil {
		return err
	}
	last := len(u.waiting) - 1
	u.waiting[last].dev = uint64(st.Dev)
	if u.opts.LazySync && syncsDisks && !exists {
		if err := unix.Renameat(dir.fd, tmp, dir.fd, name); err != nil {
			return fail(unpackWhat, p, err)
		}
		u.waiting = u.waiting[:last]
		defer unix.Close(fd)
		return fail(unpackWhat, p, u.unsynced.add(fd, dir))
	}
	if len(u.waiting) == mostWaiting {
		return u.flush()
	}
	return nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil && err != unix.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// flush brings what is waiting to the disk, gives it its names, and brings these there too.
func (u *unpacking) flush() error {
	if err := u.toDisk(); err != nil {
		return err
	}
	named := map[*folder]transport.Path{}
	for len(u.waiting) > 0 {
		w := u.waiting[0]
		if err := unix.Renameat(w.dir.fd, w.tmp, w.dir.fd, w.name); err != nil {
			return fail(unpackWhat, w.path, err)
		}
		unix.Close(w.fd)
		named[w.dir] = w.path
		u.waiting = u.waiting[1:]
	}
	u.waiting = nil
	for dir, p := range named {
		if err := syncFolder(dir); err != nil {
			return fail(unpackWhat, p, err)
		}
	}
	u.leave()
	return nil
}

// fewWaiting is how many files are brought to the disk one by one: a whole disk may have much to write that is none of ours.
const fewWaiting = 16

func (u *unpacking) toDisk() error {
	disks := map[uint64]bool{}
	for _, w := range u.waiting {
		bring := unix.Fsync
		if syncsDisks && len(u.waiting) > fewWaiting {
			if disks[w.dev] {
				continue
			}
			disks[w.dev], bring = true, syncDisk
		}
		if err := bring(w.fd); err != nil {
			return fail(unpackWhat, w.path, err)
		}
	}
	return nil
}
