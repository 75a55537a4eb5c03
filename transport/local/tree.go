//go:build linux || darwin || freebsd

package local

import (
	"context"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

func (h *Host) mkdir(ctx context.Context, o transport.Mkdir) error {
	const what = "make the folder"
	if err := checkPath(what, o.Path); err != nil {
		return err
	}
	if err := checkMode(what, o.Path, o.Mode); err != nil {
		return err
	}
	uid, gid, primary, err := h.ids(ctx, what, o.Path, o.Owner, o.Group)
	if err != nil {
		return err
	}
	if o.Path == "/" {
		return refuse(what, o.Path, "it is there already", "")
	}
	if o.Parents {
		if err := h.makeParents(o.Path); err != nil {
			return err
		}
	}
	dir, name, err := h.walk(what, o.Path)
	if err != nil {
		return err
	}
	defer dir.close()
	mode := uint32(0o755)
	if o.Mode != "" {
		mode = o.Mode.Bits()
	}
	if gid == keepID {
		gid = primary
	}
	return h.makeFolder(what, o.Path, dir, name, mode, uid, gid)
}

// makeParents makes what is missing above p, from the top.
func (h *Host) makeParents(p transport.Path) error {
	const what = "make the folder"
	var missing []transport.Path
	for d := p.Dir(); d != "/"; d = d.Dir() {
		var st unix.Stat_t
		if err := unix.Stat(string(d), &st); err == nil {
			break
		} else if err != unix.ENOENT {
			return fail(what, p, err)
		}
		missing = append(missing, d)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		dir, name, err := h.walk(what, missing[i])
		if err != nil {
			return err
		}
		err = h.makeFolder(what, missing[i], dir, name, 0o755, keepID, keepID)
		dir.close()
		if err != nil && errnoOf(err) != unix.EEXIST { // someone else may have made it just now
			return err
		}
	}
	return nil
}

func (h *Host) makeFolder(what string, p transport.Path, dir *folder, name string, mode uint32, uid, gid int) error {
	if err := unix.Mkdirat(dir.fd, name, 0o700); err != nil {
		if err == unix.EEXIST {
			return &transport.Error{Kind: transport.Refused, Path: p, Message: what + " " + show(p) + ": something is there already", Err: err}
		}
		return fail(what, p, err)
	}
	err := func() error {
		fd, err := openNode(dir.fd, name)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := fstatNode(fd, &st); err != nil {
			return err
		}
		if err := h.stillOurs(what, p, dir.fd, fd, &st, unix.S_IFDIR); err != nil {
			return err
		}
		if uid == keepID {
			uid = int(st.Uid)
		}
		if gid == keepID {
			gid = int(st.Gid)
		}
		return setNode(what, p, fd, &st, attrs{uid: uid, gid: gid, mode: mode, setMode: true})
	}()
	if err != nil {
		_ = unix.Unlinkat(dir.fd, name, unix.AT_REMOVEDIR)
	}
	return fail(what, p, err)
}

func (h *Host) link(ctx context.Context, o transport.Link) error {
	const what = "link"
	if err := checkPath(what, o.Path); err != nil {
		return err
	}
	if o.Target == "" || strings.IndexByte(string(o.Target), 0) >= 0 || len(o.Target) > 4095 {
		return refuse(what, o.Path, "its target is empty, too long or holds a NUL byte", "")
	}
	uid, gid, primary, err := h.ids(ctx, what, o.Path, o.Owner, o.Group)
	if err != nil {
		return err
	}
	dir, name, err := h.walk(what, o.Path)
	if err != nil {
		return err
	}
	defer dir.close()
	var old unix.Stat_t
	err = unix.Fstatat(dir.fd, name, &old, unix.AT_SYMLINK_NOFOLLOW)
	exists := err == nil
	switch {
	case err != nil && err != unix.ENOENT:
		return fail(what, o.Path, err)
	case exists && old.Mode&unix.S_IFMT != unix.S_IFLNK:
		return refuse(what, o.Path, "something that is no symlink is there", "remove it first")
	case exists && !o.Hard && uid == keepID && gid == keepID && os.Geteuid() == 0:
		uid, gid = int(old.Uid), int(old.Gid)
	}
	if gid == keepID {
		gid = primary
	}
	tmp := name // where nothing stands, the link is made in its place; a name that appears meanwhile is not replaced
	if exists || uid != keepID || gid != keepID {
		tmp = tempName(name)
	}
	if o.Hard {
		err = h.hardLink(what, o, dir, tmp)
	} else if err = unix.Symlinkat(string(o.Target), dir.fd, tmp); err == nil && (uid != keepID || gid != keepID) {
		err = h.giveLink(what, o.Path, dir, tmp, uid, gid)
	}
	if err == nil && tmp != name {
		err = unix.Renameat(dir.fd, tmp, dir.fd, name)
	}
	if tmp != name {
		_ = unix.Unlinkat(dir.fd, tmp, 0)
	}
	return fail(what, o.Path, err)
}

// giveLink sets the owner of a symlink that was made just now.
func (h *Host) giveLink(what string, p transport.Path, dir *folder, name string, uid, gid int) error {
	fd, err := openNode(dir.fd, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := fstatNode(fd, &st); err != nil {
		return err
	}
	if err := h.stillOurs(what, p, dir.fd, fd, &st, unix.S_IFLNK); err != nil {
		return err
	}
	return chownNode(fd, uid, gid)
}

// stillOurs refuses to go on with an open node that we made just now under a name in dirfd, where others may rename what is in that folder
// and another thing of ours may stand there by now, which they would like to be given. An empty folder and a symlink are nothing to gain.
func (h *Host) stillOurs(what string, p transport.Path, dirfd, fd int, st *unix.Stat_t, typ uint32) error {
	var dir unix.Stat_t
	if err := fstatNode(dirfd, &dir); err != nil {
		return err
	}
	others := dir.Uid != 0 && int(dir.Uid) != h.self || dir.Mode&(unix.S_IWGRP|unix.S_IWOTH) != 0 && dir.Mode&unix.S_ISVTX == 0
	if !others {
		return nil
	}
	empty := true
	if uint32(st.Mode)&unix.S_IFMT == typ && typ == unix.S_IFDIR {
		if err := entries(fd, func(int, string) error { empty = false; return nil }); err != nil {
			return err
		}
	}
	if uint32(st.Mode)&unix.S_IFMT != typ || int(st.Uid) != h.self || !empty {
		return refuse(what, p, "another user put something else there while it was made", "")
	}
	return nil
}

func (h *Host) hardLink(what string, o transport.Link, dir *folder, name string) error {
	target := string(o.Target)
	if !strings.HasPrefix(target, "/") {
		target = path.Join(string(o.Path.Dir()), target)
	}
	from, base, err := h.walk(what, transport.Path(path.Clean(target)))
	if err != nil {
		return err
	}
	defer from.close()
	return unix.Linkat(from.fd, base, dir.fd, name, 0)
}

// attrs are what setNode sets. keepID and !setMode leave things as they are.
type attrs struct {
	uid, gid int
	mode     uint32
	setMode  bool
}

// setNode sets owner, group and mode of an open node. A change of owner clears setuid and setgid, so the mode comes last, and a mode
// that was to stay is set again.
func setNode(what string, p transport.Path, fd int, st *unix.Stat_t, a attrs) error {
	mode := uint32(st.Mode) & 0o7777
	owner := a.uid != keepID && a.uid != int(st.Uid) || a.gid != keepID && a.gid != int(st.Gid)
	if owner {
		if err := chownNode(fd, a.uid, a.gid); err != nil {
			return err
		}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil
	}
	want := mode
	if a.setMode {
		want = a.mode
	}
	if want == mode && !(owner && mode&0o6000 != 0) {
		return nil
	}
	if err := chmodNode(fd, want); err != nil {
		return err
	}
	var now unix.Stat_t
	if err := fstatNode(fd, &now); err != nil {
		return err
	}
	if got := uint32(now.Mode) & 0o7777; got != want {
		return modeDropped(what, p, want, got)
	}
	return nil
}

func (h *Host) setAttr(ctx context.Context, o transport.SetAttr) error {
	const what = "set attributes of"
	if err := checkPath(what, o.Path); err != nil {
		return err
	}
	if err := checkMode(what, o.Path, o.Mode, o.FileMode); err != nil {
		return err
	}
	if o.Recursive && (o.Path == "/" || o.Path.Dir() == "/") {
		return refuse(what, o.Path, "the whole tree below it would be changed", "name a folder further down")
	}
	uid, gid, _, err := h.ids(ctx, what, o.Path, o.Owner, o.Group)
	if err != nil {
		return err
	}
	if o.Path == "/" {
		fd, err := openNode(unix.AT_FDCWD, "/")
		if err != nil {
			return fail(what, o.Path, err)
		}
		defer unix.Close(fd)
		return h.setOne(ctx, o, fd, fd, "/", uid, gid, true)
	}
	dir, name, err := h.walk(what, o.Path)
	if err != nil {
		return err
	}
	defer dir.close()
	fd, err := openNode(dir.fd, name)
	if err != nil {
		return fail(what, o.Path, err)
	}
	defer unix.Close(fd)
	return h.setOne(ctx, o, dir.fd, fd, dir.join(name), uid, gid, true)
}

// setOne sets the attributes of the open node fd in the open folder dirfd, and with Recursive of all below it. top says that it is the
// op's own path.
func (h *Host) setOne(ctx context.Context, o transport.SetAttr, dirfd, fd int, at string, uid, gid int, top bool) error {
	const what = "set attributes of"
	if err := ctx.Err(); err != nil {
		return interrupted(what+" "+show(o.Path), err)
	}
	p := transport.Path(at)
	var st unix.Stat_t
	if err := fstatNode(fd, &st); err != nil {
		return fail(what, p, err)
	}
	a := attrs{uid: uid, gid: gid}
	mode := o.Mode
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		if top && o.Mode != "" {
			return refuse(what, p, "it is a symlink, which has no mode", "name its target instead")
		}
		mode = ""
	case unix.S_IFDIR:
	case unix.S_IFREG:
		if o.Recursive {
			mode = o.FileMode
		}
		if st.Nlink > 1 && h.planted(dirfd, &st) {
			return refuse(what, p, "it is a hard link that another user may have put there, to a file that is not theirs",
				"set fs.protected_hardlinks=1, which most systems have, or make it a file of its own")
		}
	default:
		if o.Recursive && !top { // a device in the tree gets the owner, never a mode meant for others
			mode = ""
		}
	}
	a.mode, a.setMode = mode.Bits(), mode != ""
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	// The tree first: the new owner and mode may keep us out of it.
	if isDir && o.Recursive {
		err := entries(fd, func(sub int, name string) error {
			node, err := openNode(sub, name)
			if err == unix.ENOENT {
				return nil
			}
			if err != nil {
				return fail(what, transport.Path(path.Join(at, name)), err)
			}
			defer unix.Close(node)
			return h.setOne(ctx, o, sub, node, path.Join(at, name), uid, gid, false)
		})
		if err != nil {
			return fail(what, p, err)
		}
	}
	return fail(what, p, setNode(what, p, fd, &st, a))
}

// planted reports whether someone else may have linked a file that is not theirs into the folder, to have it handed over. Kernels that
// protect hard links do not let them.
func (h *Host) planted(dirfd int, st *unix.Stat_t) bool {
	if hardLinksProtected() && !h.anyoneLinks {
		return false
	}
	var dir unix.Stat_t
	if err := fstatNode(dirfd, &dir); err != nil {
		return true
	}
	return dir.Mode&unix.S_IWOTH != 0 || dir.Uid != 0 && int(dir.Uid) != h.self && dir.Uid != st.Uid
}

// entries calls f with every name in the open folder fd and a descriptor of it that can be listed.
func entries(fd int, f func(dir int, name string) error) error {
	sub, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	d := os.NewFile(uintptr(sub), ".")
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := f(sub, name); err != nil {
			return err
		}
	}
	return nil
}
