//go:build linux || darwin || freebsd

package local

import (
	"bytes"
	"context"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"fabgo/transport"
	"fabgo/transport/tables"
)

func (h *Host) remove(ctx context.Context, o transport.Remove) error {
	const what = "remove"
	if err := checkPath(what, o.Path); err != nil {
		return err
	}
	dir, name, err := h.walk(what, o.Path)
	if err != nil {
		return err
	}
	defer dir.close()
	at := dir.join(name)
	var st, above unix.Stat_t
	if err := unix.Fstatat(dir.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fail(what, o.Path, err)
	}
	if err := fstatNode(dir.fd, &above); err != nil {
		return fail(what, o.Path, err)
	}
	if where, ok := mountBelow(at); ok {
		return refuse(what, o.Path, "a file system is mounted on "+show(transport.Path(where)), "unmount it first")
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case isDir && st.Dev != above.Dev || isMount(dir.fd, name):
		return refuse(what, o.Path, "it is a mount point", "unmount it first")
	case !isDir:
		return fail(what, o.Path, unix.Unlinkat(dir.fd, name, 0))
	}
	err = unix.Unlinkat(dir.fd, name, unix.AT_REMOVEDIR)
	if err != unix.ENOTEMPTY && err != unix.EEXIST {
		return fail(what, o.Path, err)
	}
	switch {
	case path.Dir(at) == "/": // both as it was named and as it is: /lib is /usr/lib
		return refuse(what, o.Path, "it is one of the system's top folders and is not empty", "remove what is in it by name")
	case o.Path.Dir() == "/":
		return refuse(what, o.Path, "it is one of the system's top folders and is not empty", "remove what is in it by name")
	case !o.Recursive:
		return refuse(what, o.Path, "the folder is not empty", "ask for the whole tree to be removed")
	}
	return fail(what, o.Path, h.removeTree(ctx, dir.fd, name, uint64(st.Dev), at))
}

// removeTree removes a folder and what is in it, relative to open folders, and stays on its device.
func (h *Host) removeTree(ctx context.Context, dirfd int, name string, dev uint64, at string) error {
	if err := ctx.Err(); err != nil {
		return interrupted("remove "+at, err)
	}
	p := transport.Path(at)
	fd, err := h.openBelow(dirfd, name)
	if err == unix.EXDEV {
		return refuse("remove", p, "it is a mount point", "unmount it first")
	}
	if err != nil {
		return fail("remove", p, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := fstatNode(fd, &st); err != nil {
		return fail("remove", p, err)
	}
	if uint64(st.Dev) != dev {
		return refuse("remove", p, "it is a mount point", "unmount it first")
	}
	err = entries(fd, func(sub int, name string) error {
		err := unix.Unlinkat(sub, name, 0)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		var st unix.Stat_t
		if e := unix.Fstatat(sub, name, &st, unix.AT_SYMLINK_NOFOLLOW); e == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return h.removeTree(ctx, sub, name, dev, path.Join(at, name))
		}
		return fail("remove", transport.Path(path.Join(at, name)), err)
	})
	if err != nil {
		return fail("remove", p, err)
	}
	return fail("remove", p, unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR))
}

// mountBelow finds a mount on p or below it, so that a tree is refused before a part of it is gone. Bind mounts of the same device show
// nowhere else.
func mountBelow(p string) (string, bool) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || !bytes.Contains(b, []byte(path.Base(p))) && !bytes.Contains(b, []byte(`\`)) {
		return "", false
	}
	for _, m := range tables.ParseMountinfo(b) {
		if m.Dir == p || transport.Path(m.Dir).Under(transport.Path(p)) {
			return m.Dir, true
		}
	}
	return "", false
}
