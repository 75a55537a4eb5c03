//go:build linux || darwin || freebsd

package local

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// unsynced are new files, and their folders, that the disk may not have yet. A few are kept one by one; of many only on which disks they are.
type unsynced struct {
	mu    sync.Mutex
	few   []int          // open descriptors
	disks map[uint64]int // by device: a descriptor of something on it
}

// fewUnsynced is how many descriptors are brought to the disk one by one. A whole disk may have much to write that is none of ours.
const fewUnsynced = 64

// add takes a new file and the folder that it is in.
func (u *unsynced) add(file int, dir *folder) error {
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, ok := u.disks[uint64(st.Dev)]; ok {
		return nil
	}
	fd, err := unix.FcntlInt(uintptr(file), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	u.few = append(u.few, fd)
	// Where the folder may not be read, the kernel does it in its own time.
	if fd, err := unix.Openat(dir.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		u.few = append(u.few, fd)
	}
	if len(u.few) > fewUnsynced {
		return u.spill()
	}
	return nil
}

// spill notes the disks of the few instead of themselves.
func (u *unsynced) spill() error {
	var first error
	for _, fd := range u.few {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		if err != nil && first == nil {
			first = err
		}
		if _, ok := u.disks[uint64(st.Dev)]; ok || err != nil {
			unix.Close(fd)
			continue
		}
		if u.disks == nil {
			u.disks = map[uint64]int{}
		}
		u.disks[uint64(st.Dev)] = fd
	}
	u.few = nil
	return first
}

func (u *unsynced) sync() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var first error
	bring := func(fd int, f func(fd int) error) {
		if err := f(fd); err != nil && err != unix.EINVAL && err != unix.EROFS && first == nil {
			first = err
		}
		unix.Close(fd)
	}
	for _, fd := range u.few {
		bring(fd, unix.Fsync)
	}
	for _, fd := range u.disks {
		bring(fd, syncDisk)
	}
	u.few, u.disks = nil, nil
	return first
}

// Sync brings new files to the disk: with Options.LazySync they are not there before. It is quick when there are none.
func (h *Host) Sync() error {
	err := h.unsynced.sync()
	if err == nil {
		return nil
	}
	e := &transport.Error{Kind: transport.IO, Message: "bring what was written to the disk: " + err.Error(), Err: err}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		e.Kind = transport.NoSpace
	}
	return e
}
