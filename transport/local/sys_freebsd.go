package local

import "golang.org/x/sys/unix"

// oSearch opens a folder without the right to list it.
const oSearch = unix.O_SEARCH

// Of sys/fcntl.h since FreeBSD 13.1; package unix lacks them.
const (
	oPath     = 0x00400000
	emptyPath = 0x4000
)

// openPlain is not there: FreeBSD has no walk that refuses all symlinks.
func openPlain(string) (int, error) { return -1, unix.ENOSYS }

func (h *Host) openBelow(dirfd int, name string) (int, error) {
	return unix.Openat(dirfd, name, openFolder, 0)
}

func openNode(dirfd int, name string) (int, error) {
	return unix.Openat(dirfd, name, oPath|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func fstatNode(fd int, st *unix.Stat_t) error { return unix.Fstat(fd, st) }

func chownNode(fd, uid, gid int) error { return unix.Fchownat(fd, "", uid, gid, emptyPath) }

func chmodNode(fd int, mode uint32) error { return unix.Fchmodat(fd, "", mode, emptyPath) }

// hardLinksProtected reports whether users cannot link to files that are not theirs. By default they can.
func hardLinksProtected() bool {
	n, err := unix.SysctlUint32("security.bsd.hardlink_check_uid")
	return err == nil && n != 0
}
