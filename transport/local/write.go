//go:build linux || darwin || freebsd

package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

const newFile = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC

// tempName is a new name beside name, within the limit of 255 bytes.
func tempName(name string) string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	t := "." + name + ".fabgo-" + hex.EncodeToString(b)
	if len(t) > 255 {
		t = ".fabgo-" + hex.EncodeToString(b)
	}
	return t
}

func (h *Host) write(ctx context.Context, o transport.Write) (transport.Written, error) {
	const what = "write"
	none := transport.Written{}
	if err := checkPath(what, o.Path); err != nil {
		return none, err
	}
	if err := checkMode(what, o.Path, o.Mode); err != nil {
		return none, err
	}
	if o.Backup != "" {
		if err := checkPath(what, o.Backup); err != nil {
			return none, err
		}
		if o.Backup.Dir() != o.Path.Dir() || o.Backup == o.Path {
			return none, refuse(what, o.Path, "the backup "+show(o.Backup)+" is not another name in the same folder", "")
		}
	}
	wanted, err := h.ownership(ctx, what, o.Path, o.Owner, o.Group)
	if err != nil {
		return none, err
	}
	dir, name, err := h.end(what, o.Path, o.Follow)
	if err != nil {
		return none, err
	}
	defer dir.close()
	old, exists, err := replaceable(what, o.Path, dir, name)
	if err != nil {
		return none, err
	}
	uid, gid, mode := h.become(wanted, o.Mode, old, exists)

	tmp := tempName(name)
	fd, err := unix.Openat(dir.fd, tmp, newFile, 0o600)
	if err != nil {
		return none, fail(what, o.Path, err)
	}
	f := os.NewFile(uintptr(fd), dir.join(tmp))
	placed := false
	defer func() {
		f.Close()
		if !placed {
			_ = unix.Unlinkat(dir.fd, tmp, 0)
		}
	}()
	if err := fill(ctx, f, o, uid, gid, mode); err != nil {
		return none, err
	}
	if exists {
		if err := copyAttrs(dir.fd, name, fd, mode); err != nil {
			return none, fail(what, o.Path, err)
		}
	}
	lazy := h.opts.LazySync && syncsDisks && !exists
	if err := finish(f, o.Path, mode, lazy); err != nil {
		return none, err
	}
	var w transport.Written
	if len(o.Validate) > 0 {
		argv := make([]transport.Text, len(o.Validate))
		for i, a := range o.Validate {
			argv[i] = transport.Text(strings.ReplaceAll(string(a), "%s", dir.join(tmp)))
		}
		out, err := h.exec(ctx, transport.Exec{Argv: argv})
		if err != nil {
			return none, err
		}
		w.Validation = &out
		if out.Code != 0 {
			return w, nil
		}
	}
	if exists && o.Backup != "" {
		if err := h.backup(ctx, o, dir, name); err != nil {
			return none, err
		}
	}
	if err := ctx.Err(); err != nil {
		return none, interrupted(what+" "+show(o.Path), err)
	}
	if err := unix.Renameat(dir.fd, tmp, dir.fd, name); err != nil {
		return none, fail(what, o.Path, err)
	}
	placed = true
	if lazy {
		return w, fail(what, o.Path, h.unsynced.add(fd, dir))
	}
	return w, fail(what, o.Path, syncFolder(dir))
}

// ownership are the ids that an op wants: keepID where it does not say. primary is the owner's own group.
type ownership struct{ uid, gid, primary int }

func (h *Host) ownership(ctx context.Context, what string, p transport.Path, owner, group transport.Text) (o ownership, err error) {
	o.uid, o.gid, o.primary, err = h.ids(ctx, what, p, owner, group)
	return o, err
}

// become is what a file is to belong to, and its mode: what the op wants, else what the file has that it replaces, else what new files get.
func (h *Host) become(o ownership, want transport.Mode, old unix.Stat_t, exists bool) (uid, gid int, mode uint32) {
	uid, gid, mode = o.uid, o.gid, 0o644
	if exists {
		mode = uint32(old.Mode) & 0o7777
		if uid == keepID {
			uid = int(old.Uid)
		}
		if gid == keepID {
			gid = int(old.Gid)
		}
	}
	if want != "" {
		mode = want.Bits()
	}
	if gid == keepID {
		gid = o.primary
	}
	if uid == keepID {
		uid = h.self
	}
	if gid == keepID {
		gid = os.Getegid()
	}
	return uid, gid, mode
}

// replaceable looks at what stands where the file is to be: nothing or a regular file, else it is refused.
func replaceable(what string, p transport.Path, dir *folder, name string) (st unix.Stat_t, exists bool, err error) {
	err = unix.Fstatat(dir.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return st, false, nil
	}
	if err != nil {
		return st, false, fail(what, p, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return st, true, nil
	case unix.S_IFDIR:
		return st, false, refuse(what, p, "a folder is there", "")
	case unix.S_IFLNK:
		target, _ := readlink(dir.fd, name)
		if target == "/dev/null" {
			return st, false, refuse(what, p, "it is masked (a symlink to /dev/null)", "unmask it first")
		}
		return st, false, refuse(what, p, "a symlink to "+show(transport.Path(target))+" is there", "name its target, or ask for the symlink to be followed")
	}
	return st, false, refuse(what, p, "a device, pipe or socket is there", "")
}

// fill writes the content. Until finish, nobody but the owner may read the file, and the owner only if the final mode lets it.
func fill(ctx context.Context, f *os.File, o transport.Write, uid, gid int, mode uint32) error {
	const what = "write"
	if err := handOver(int(f.Fd()), uid, gid, mode); err != nil {
		return fail(what, o.Path, err)
	}
	r, err := o.Content.Open()
	if err != nil {
		return &transport.Error{Kind: transport.IO, Path: o.Path, Message: fmt.Sprintf("%s %s: %v", what, show(o.Path), err), Err: err}
	}
	defer r.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, contextReader{ctx, r}, buffer(o.Content.Size))
	if err == nil && n != o.Content.Size {
		err = fmt.Errorf("the content has %d bytes instead of %d", n, o.Content.Size)
	}
	return fail(what, o.Path, err)
}

// handOver gives a new file to its owner, which was made with mode 0600, before there is anything in it.
func handOver(fd, uid, gid int, mode uint32) error {
	if err := give(fd, uid, gid); err != nil || mode&0o600 == 0o600 {
		return err
	}
	return unix.Fchmod(fd, mode&0o600)
}

// give sets the owner of a new file where it is not right already: only root may give files away, everyone may keep them.
func give(fd, uid, gid int) error {
	var st unix.Stat_t
	if err := fstatNode(fd, &st); err != nil {
		return err
	}
	if int(st.Uid) == uid && int(st.Gid) == gid {
		return nil
	}
	return chownNode(fd, uid, gid)
}

// finish sets the final mode, after the content and the owner, for both clear setuid, and brings all of it to the disk, unless that is left
// for later.
func finish(f *os.File, p transport.Path, mode uint32, lazy bool) error {
	if _, err := setMode(int(f.Fd()), "write", p, mode); err != nil || lazy {
		return err
	}
	return fail("write", p, f.Sync())
}

func setMode(fd int, what string, p transport.Path, mode uint32) (st unix.Stat_t, err error) {
	if err := unix.Fchmod(fd, mode); err != nil {
		return st, fail(what, p, err)
	}
	if err := unix.Fstat(fd, &st); err != nil {
		return st, fail(what, p, err)
	}
	if got := uint32(st.Mode) & 0o7777; got != mode { // setgid for a group that is not ours is dropped in silence
		return st, modeDropped(what, p, mode, got)
	}
	return st, nil
}

func modeDropped(what string, p transport.Path, want, got uint32) error {
	return &transport.Error{Kind: transport.Denied, Path: p, Hint: "only root or a member of the group may set setgid",
		Message: fmt.Sprintf("%s %s: mode %s was asked for, and the system made it %s", what, show(p), transport.NewMode(want), transport.NewMode(got))}
}

// backup gives the file that is there a second name, atomically: by a hard link, or by a copy where hard links are not allowed.
func (h *Host) backup(ctx context.Context, o transport.Write, dir *folder, name string) error {
	const what = "back up"
	to, base, err := h.walk(what, o.Backup)
	if err != nil {
		return err
	}
	defer to.close()
	if _, _, err := replaceable(what, o.Backup, to, base); err != nil {
		return err
	}
	tmp := tempName(base)
	if err := unix.Linkat(dir.fd, name, to.fd, tmp, 0); err != nil {
		if err := copyFile(ctx, o.Path, dir, name, to, tmp); err != nil {
			_ = unix.Unlinkat(to.fd, tmp, 0)
			return fail(what, o.Path, err)
		}
	}
	// Renaming one name of a file to another of its names does nothing, so the temporary one is removed in any case.
	err = unix.Renameat(to.fd, tmp, to.fd, base)
	_ = unix.Unlinkat(to.fd, tmp, 0)
	return fail(what, o.Path, err)
}

func copyFile(ctx context.Context, p transport.Path, dir *folder, name string, to *folder, tmp string) error {
	in, err := unix.Openat(dir.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	src := os.NewFile(uintptr(in), name)
	defer src.Close()
	var st unix.Stat_t
	if err := unix.Fstat(in, &st); err != nil {
		return err
	}
	fd, err := unix.Openat(to.fd, tmp, newFile, 0o600)
	if err != nil {
		return err
	}
	dst := os.NewFile(uintptr(fd), tmp)
	defer dst.Close()
	if err := give(fd, int(st.Uid), int(st.Gid)); err != nil && os.Geteuid() == 0 {
		return err // others keep a copy that is their own
	}
	if _, err := io.Copy(dst, contextReader{ctx, src}); err != nil {
		return err
	}
	if err := copyAttrs(dir.fd, name, fd, uint32(st.Mode)&0o777); err != nil {
		return err
	}
	return finish(dst, p, uint32(st.Mode)&0o777, false)
}

// syncFolder brings the names in a folder to the disk. Where the folder may not be read, the kernel does it in its own time.
func syncFolder(dir *folder) error {
	fd, err := unix.Openat(dir.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	if err := unix.Fsync(fd); err != nil && err != unix.EINVAL && err != unix.EROFS {
		return err
	}
	return nil
}
