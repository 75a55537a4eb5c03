package local

import "golang.org/x/sys/unix"

const oSearch = unix.O_RDONLY

func openPlain(string) (int, error) { return -1, unix.ENOSYS }

func (h *Host) openBelow(dirfd int, name string) (int, error) {
	return unix.Openat(dirfd, name, openFolder, 0)
}

func openNode(dirfd int, name string) (int, error) {
	return unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_SYMLINK|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

func fstatNode(fd int, st *unix.Stat_t) error { return unix.Fstat(fd, st) }

func chownNode(fd, uid, gid int) error { return unix.Fchown(fd, uid, gid) }

func chmodNode(fd int, mode uint32) error { return unix.Fchmod(fd, mode) }

func hardLinksProtected() bool { return true } // there is no such switch
