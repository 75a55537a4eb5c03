//go:build linux || darwin || freebsd

package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

func (h *Host) stat(ctx context.Context, o transport.Stat) (transport.FileInfo, error) {
	if err := checkPath("stat", o.Path); err != nil {
		return transport.FileInfo{}, err
	}
	p := string(o.Path)
	var st unix.Stat_t
	var err error
	if o.Follow {
		err = unix.Stat(p, &st)
	} else {
		err = unix.Lstat(p, &st)
	}
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return transport.FileInfo{Type: transport.Absent}, nil
	case err != nil:
		return transport.FileInfo{}, fail("stat", o.Path, err)
	}
	h.refreshNames()
	info := h.info(ctx, &st)
	switch {
	case info.Type == transport.Symlink:
		if info.Target, err = linkTarget(unix.AT_FDCWD, p); err != nil {
			return transport.FileInfo{}, fail("stat", o.Path, err)
		}
	case info.Type == transport.Regular && (o.Digest || o.Against != nil && o.Against.Size == info.Size):
		d, size, err := digestFile(ctx, unix.AT_FDCWD, p, 0, func() transport.Path { return o.Path }, nil)
		if err != nil {
			return transport.FileInfo{}, fail("read", o.Path, err)
		}
		if o.Digest {
			info.Digest, info.Size = d, size
		}
		info.Same = o.Against != nil && d == o.Against.Digest
	}
	return info, nil
}

func linkTarget(dirfd int, name string) (transport.Text, error) {
	t, err := readlink(dirfd, name)
	return transport.Text(t), err
}

// info turns a stat into an answer, without target and digest. It takes the names of refreshNames.
func (h *Host) info(ctx context.Context, st *unix.Stat_t) transport.FileInfo {
	info := transport.FileInfo{Mode: transport.NewMode(uint32(st.Mode)), UID: int(st.Uid), GID: int(st.Gid), ModTime: int64(st.Mtim.Sec)}
	info.Owner, info.Group = h.names(ctx, int(st.Uid), int(st.Gid))
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		info.Type, info.Size = transport.Regular, st.Size
	case unix.S_IFDIR:
		info.Type = transport.Dir
	case unix.S_IFLNK:
		info.Type, info.Mode = transport.Symlink, ""
	default:
		info.Type = transport.Special
	}
	return info
}

// contextReader ends in an error of kind Interrupted when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, interrupted("read", err)
	}
	return c.r.Read(p)
}

func (h *Host) list(ctx context.Context, o transport.List) (transport.Listing, error) {
	if err := checkPath("list", o.Path); err != nil {
		return transport.Listing{}, err
	}
	h.refreshNames()
	l := listing{List: o, entries: []transport.Entry{}, room: make([]byte, 128<<10)}
	var manifest []transport.SourceEntry
	if o.Against != nil {
		var err error
		if manifest, err = o.Against.Entries(); err != nil {
			return transport.Listing{}, refuse("list", o.Path, err.Error(), "")
		}
		l.hashed = make(map[transport.Text]bool, len(manifest))
		l.entries = make([]transport.Entry, 0, len(manifest)+16)
		for _, e := range manifest {
			if e.Type == transport.Regular {
				l.hashed[e.Path] = true
			}
		}
	}
	if err := h.listInto(ctx, &l, unix.AT_FDCWD, string(o.Path), ""); err != nil {
		return transport.Listing{}, fail("list", o.Path, err)
	}
	slices.SortFunc(l.entries, func(a, b transport.Entry) int { return strings.Compare(string(a.Path), string(b.Path)) })
	out := transport.Listing{Entries: l.entries}
	if o.Against != nil {
		out = out.Without(manifest)
	}
	return out, nil
}

// listing is a List under way.
type listing struct {
	transport.List
	hashed  map[transport.Text]bool // whose digests are wanted, unless all are
	entries []transport.Entry
	room    []byte // for reading
}

// listInto adds the folder rel below o.Path. What vanishes while we look is left out. Names are relative to the open folder, so that a
// long path is walked once.
func (h *Host) listInto(ctx context.Context, l *listing, parent int, dir, rel string) error {
	flags := unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NONBLOCK | unix.O_CLOEXEC
	if rel != "" {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := unix.Openat(parent, dir, flags, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return interrupted("list "+string(l.Path), err)
		}
		below := name
		if rel != "" {
			below = rel + "/" + name
		}
		var st unix.Stat_t
		err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		e := transport.Entry{Path: transport.Text(below)}
		if err == nil {
			e.FileInfo = h.info(ctx, &st)
			switch {
			case e.Type == transport.Symlink:
				e.Target, err = linkTarget(fd, name)
			case e.Type == transport.Regular && (l.Digest || l.hashed[e.Path]):
				e.Digest, e.Size, err = digestFile(ctx, fd, name, unix.O_NOFOLLOW, func() transport.Path { return l.Path.Join(below) }, l.room)
			}
		}
		if err == nil {
			l.entries = append(l.entries, e)
			if e.Type == transport.Dir && l.Recursive {
				err = h.listInto(ctx, l, fd, name, below)
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail("list", l.Path.Join(below), err)
		}
	}
	return nil
}

func (h *Host) read(o transport.Read) (transport.Data, error) {
	if err := checkPath("read", o.Path); err != nil {
		return transport.Data{}, err
	}
	if o.Offset < 0 || o.Limit < 0 {
		return transport.Data{}, refuse("read", o.Path, "a negative offset or limit", "")
	}
	f, err := openRegular(string(o.Path))
	if err != nil {
		return transport.Data{}, fail("read", o.Path, err)
	}
	defer f.Close()
	limit := o.Limit
	if limit == 0 {
		limit = transport.ReadLimit
	}
	if limit == math.MaxInt64 {
		limit--
	}
	if o.Offset > 0 {
		if _, err := unix.Seek(f.fd, o.Offset, io.SeekStart); err != nil {
			return transport.Data{}, fail("read", o.Path, err)
		}
	}
	b, err := f.readAll(limit + 1) // the size of a file of /proc is not to be trusted
	if err != nil {
		return transport.Data{}, fail("read", o.Path, err)
	}
	if int64(len(b)) > limit {
		return transport.Data{Content: transport.Bytes(b[:limit]), More: true}, nil
	}
	return transport.Data{Content: transport.Bytes(b)}, nil
}
