package local

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// oSearch opens a folder without the right to list it.
const oSearch = unix.O_PATH

// openPlain opens a folder by a path without any symlink in it, in one system call. Kernels before 5.6 lack it.
func openPlain(dir string) (int, error) {
	return unix.Openat2(unix.AT_FDCWD, dir, &unix.OpenHow{Flags: oSearch | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
}

// openBelow opens the folder name in an open folder for its entries to be changed: no symlink, and with the kernel's help no mount either
// (EXDEV), not even one that appeared this moment or is of the same device.
func (h *Host) openBelow(dirfd int, name string) (int, error) {
	if !h.byComponent {
		fd, err := unix.Openat2(dirfd, name, &unix.OpenHow{Flags: openFolder, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
		if err != unix.ENOSYS && err != unix.EPERM { // EPERM: what forbids system calls it does not know
			return fd, err
		}
	}
	return unix.Openat(dirfd, name, openFolder, 0)
}

// openNode opens what stands at name, a symlink itself too, for nothing but its attributes: no permission is needed, no device wakes up.
func openNode(dirfd int, name string) (int, error) {
	return unix.Openat(dirfd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func fstatNode(fd int, st *unix.Stat_t) error {
	return unix.Fstatat(fd, "", st, unix.AT_EMPTY_PATH)
}

func chownNode(fd, uid, gid int) error {
	return unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH)
}

// chmodNode sets the mode behind a descriptor of openNode, which fchmod refuses. Kernels before 6.6 need /proc for it.
func chmodNode(fd int, mode uint32) error {
	err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
	if err == unix.ENOENT {
		return unix.Fchmodat(fd, "", mode, unix.AT_EMPTY_PATH)
	}
	return err
}

// attribute is the attribute of ext4 and others that forbids changes of p: "immutable", "append-only" or "".
func attribute(p string) string {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, p, unix.AT_SYMLINK_NOFOLLOW, 0, &st); err != nil {
		return ""
	}
	switch {
	case st.Attributes&unix.STATX_ATTR_IMMUTABLE != 0:
		return "immutable"
	case st.Attributes&unix.STATX_ATTR_APPEND != 0:
		return "append-only"
	}
	return ""
}

// isMount reports whether a file system is mounted at name. Kernels before 5.8 cannot say so of bind mounts.
func isMount(dirfd int, name string) bool {
	var st unix.Statx_t
	err := unix.Statx(dirfd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// hardLinksProtected reports whether users cannot link to files that they may not write.
func hardLinksProtected() bool {
	b, err := os.ReadFile("/proc/sys/fs/protected_hardlinks")
	return err == nil && len(b) > 0 && b[0] == '1'
}

const aclAttr = "system.posix_acl_access"

// copyAttrs gives the new file fd the extended attributes of the file it will replace: SELinux label, ACL, capabilities and the rest,
// as far as the acting user may and the system knows them. Signatures of content (IMA, EVM) stay behind, for they are of the old content.
// The ACL comes with the bits of mode, which the file is to have in the end: it must not let anyone in for even a moment whom that keeps
// out.
func copyAttrs(dirfd int, name string, fd int, mode uint32) error {
	old := fmt.Sprintf("/proc/self/fd/%d/%s", dirfd, name)
	names := xattrs(func(b []byte) (int, error) { return unix.Llistxattr(old, b) })
	acl := false
	for n := range bytes.SplitSeq(names, []byte{0}) {
		attr := string(n)
		if attr == "" || attr == "security.ima" || attr == "security.evm" || strings.HasPrefix(attr, "system.") && attr != aclAttr {
			continue
		}
		acl = acl || attr == aclAttr
		value := xattrs(func(b []byte) (int, error) { return unix.Lgetxattr(old, attr, b) })
		if attr == aclAttr {
			value = aclWithMode(value, mode)
		}
		switch err := unix.Fsetxattr(fd, attr, value, 0); err {
		case nil, unix.EPERM, unix.EACCES, unix.EOPNOTSUPP, unix.EINVAL: // EINVAL: a label that is not in the policy any more
		default:
			return fmt.Errorf("keep its attribute %s: %w", attr, err)
		}
	}
	if !acl { // the new file may have inherited one from its folder
		_ = unix.Fremovexattr(fd, aclAttr)
	}
	return nil
}

// aclWithMode is an ACL, in the form of the kernel, as chmod(2) to mode makes it: a version of four bytes, then entries of tag (2 bytes),
// permissions (2) and id (4), little-endian.
func aclWithMode(acl []byte, mode uint32) []byte {
	const version, entry = 4, 8
	const owner, group, mask, other = 0x01, 0x04, 0x10, 0x20
	if len(acl) < version || (len(acl)-version)%entry != 0 {
		return acl
	}
	out := bytes.Clone(acl)
	middle := uint16(group) // the middle bits are the mask's where there is one
	for e := range slices.Chunk(out[version:], entry) {
		if binary.LittleEndian.Uint16(e) == mask {
			middle = mask
		}
	}
	for e := range slices.Chunk(out[version:], entry) {
		switch tag := binary.LittleEndian.Uint16(e); tag {
		case owner:
			binary.LittleEndian.PutUint16(e[2:], uint16(mode>>6&7))
		case middle:
			binary.LittleEndian.PutUint16(e[2:], uint16(mode>>3&7))
		case other:
			binary.LittleEndian.PutUint16(e[2:], uint16(mode&7))
		}
	}
	return out
}

// xattrs calls a system call of the kind that answers the needed size first.
func xattrs(call func([]byte) (int, error)) []byte {
	for range 3 {
		n, err := call(nil)
		if err != nil || n <= 0 {
			return nil
		}
		b := make([]byte, n)
		if n, err = call(b); err == nil {
			return b[:n]
		}
	}
	return nil
}

// syncsDisks: one call brings all that was written on a disk there, and waits for it.
const syncsDisks = true

// syncDisk brings everything to the disk that a file is on.
func syncDisk(fd int) error { return unix.Syncfs(fd) }
