//go:build darwin || freebsd

package local

import "golang.org/x/sys/unix"

func attribute(p string) string {
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return ""
	}
	const immutable, appendOnly = 0x00020002, 0x00040004 // of root and of the owner, sys/stat.h
	switch {
	case st.Flags&immutable != 0:
		return "immutable"
	case st.Flags&appendOnly != 0:
		return "append-only"
	}
	return ""
}

func isMount(int, string) bool { return false } // the change of device shows it: there are no bind mounts, and nullfs has a device of its own

func copyAttrs(int, string, int, uint32) error { return nil } // labels and POSIX ACLs are Linux's

// syncsDisks: sync(2) may return before anything is written, and there is none for one disk. Each file is brought there by itself.
const syncsDisks = false

func syncDisk(fd int) error { return unix.Fsync(fd) }
