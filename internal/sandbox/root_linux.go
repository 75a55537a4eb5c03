package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// store is where process 1 keeps the layers and builds the new root. It
// mounts a tmpfs there, in its own mount namespace, for three reasons: an
// upper layer must not lie inside its lower one, it must not be on an overlay,
// and what is in memory vanishes with the last process however that ends.
const store = "/tmp"

// tree builds the new root at store/root.
type tree struct {
	root   string
	user   bool // in a user namespace
	layers int
	mounts []mountPoint
	copied int64    // bytes
	closed []string // files of the machine that may not be read
	limits []string // see Sandbox
}

// buildTree makes the copy of this machine's files.
func buildTree(user bool) (*tree, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, refused("make mounts private", err, !user)
	}
	mounts, err := mountPoints()
	if err != nil {
		return nil, err
	}
	// Packages need room, and the limit keeps a bundle that fills the disk from
	// taking the machine down; with /tmp and /dev/shm it stays below all of the memory.
	if err := unix.Mount("fabgo-sandbox", store, "tmpfs", unix.MS_NODEV, "mode=0755,size=60%,nr_inodes=0"); err != nil {
		return nil, refused("mount a tmpfs", err, !user)
	}
	t := &tree{root: store + "/root", user: user, mounts: mounts}
	if user && unix.Setxattr(store, "user.fabgo", nil, 0) != nil {
		t.limits = append(t.limits, "this kernel's tmpfs keeps no user attributes (Linux 6.6 and later do), so a folder of the machine that was removed cannot be made again")
	}
	if err := os.Mkdir(t.root, 0o755); err != nil {
		return nil, err
	}
	if user {
		return t, t.byFolders()
	}
	return t, t.whole()
}

// whole stacks one overlay on "/" and one on each file system below it.
func (t *tree) whole() error {
	if err := t.overlay("/"); err != nil {
		return refused("mount an overlay of /", err, true)
	}
	for _, m := range t.mounts {
		if m.path == "/" || isOwn(m.path) || m.pseudo() {
			continue
		}
		t.submount(m.path)
	}
	return nil
}

// submount shows in the new root what is mounted at a path of the old one:
// copy-on-write where the file system can be a lower layer, else read-only,
// else not at all. A file is copied.
func (t *tree) submount(path string) {
	st, err := os.Stat(path)
	if err != nil {
		return // an automount that is gone, or a mount covered by another
	}
	if !st.IsDir() {
		t.copyFile(path, 16<<20)
		return
	}
	if os.MkdirAll(t.root+path, 0o755) != nil || t.overlay(path) == nil {
		return
	}
	if unix.Mount(path, t.root+path, "", unix.MS_BIND, "") == nil {
		if readOnly(t.root+path) != nil {
			unix.Unmount(t.root+path, unix.MNT_DETACH)
		}
	}
}

// overlay mounts a copy-on-write view of path in the new root.
func (t *tree) overlay(path string) error {
	layer := fmt.Sprintf("%s/layers/%d", store, t.layers)
	upper, work := layer+"/upper", layer+"/work"
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	t.layers++
	// The merged folder has the attributes of the upper one.
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if !t.user {
		if err := os.Chown(upper, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := unix.Chmod(upper, st.Mode&0o7777); err != nil {
		return err
	}
	options := "lowerdir=" + escapeLayer(path) + ",upperdir=" + upper + ",workdir=" + work
	if t.user {
		options += ",userxattr"
		t.ownFolders(path, upper)
	}
	// No device nodes: one that a bundle makes must not reach a real disk.
	return unix.Mount("overlay", t.root+path, "overlay", unix.MS_NODEV, options)
}

// escapeLayer protects what separates layers and options.
func escapeLayer(path string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`).Replace(path)
}

// byFolders is the way of a user namespace, which may not look below a mount
// that it did not make: each top-level folder has its own overlay, and one
// that holds mounts is taken apart further.
func (t *tree) byFolders() error {
	// pivot_root wants a mount.
	if err := unix.Mount("fabgo-sandbox", t.root, "tmpfs", unix.MS_NODEV, "mode=0755"); err != nil {
		return refused("mount a tmpfs", err, false)
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		return fmt.Errorf("read /: %w", err)
	}
	overlays, first := 0, error(nil)
	for _, e := range entries {
		path := "/" + e.Name()
		if isOwn(path) {
			continue
		}
		if err := t.mirror(path); err == nil {
			overlays++
		} else if first == nil && e.IsDir() {
			first = err
		}
	}
	if overlays == 0 && first != nil {
		return refused("mount an overlay in a user namespace (Linux 5.11 and later can)", first, false)
	}
	return nil
}

// mirror brings one path of the real machine into the new root.
func (t *tree) mirror(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(target, t.root+path)
	case st.Mode().IsRegular():
		return t.copyFile(path, 16<<20)
	case !st.IsDir():
		return nil
	}
	if err := os.Mkdir(t.root+path, st.Mode().Perm()); err != nil {
		return err
	}
	if unix.Access(path, unix.R_OK|unix.X_OK) != nil {
		return nil // an empty folder stands for one that we may not read
	}
	below := false
	for _, m := range t.mounts {
		if m.path == path && m.pseudo() {
			return nil
		}
		below = below || m.path != path && within(m.path, path)
	}
	if !below {
		return t.overlay(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := t.mirror(filepath.Join(path, e.Name())); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// copyFile copies a file of the real machine into the new root.
func (t *tree) copyFile(path string, limit int64) error {
	return t.copyTo(path, t.root+path, limit)
}

func (t *tree) copyTo(path, to string, limit int64) error {
	from, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	st, err := from.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > limit {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.CopyN(f, from, st.Size())
	t.copied += n
	if err != nil && err != io.EOF {
		return err
	}
	return f.Chmod(st.Mode().Perm())
}

// readOnly makes a mount and all below it read-only, and set-user-id programs
// on it powerless.
func readOnly(path string) error {
	err := unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID,
	})
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.12: one by one
		err = eachReadOnly(path)
	}
	if err != nil {
		return fmt.Errorf("make %s read-only: %w", path, err)
	}
	return nil
}

func eachReadOnly(path string) error {
	mounts, err := mountPoints()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if !within(m.path, path) {
			continue
		}
		if err := unix.Mount("", m.path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID, ""); err != nil {
			return err
		}
	}
	return nil
}
