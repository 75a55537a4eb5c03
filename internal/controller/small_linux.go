package controller

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// readRaw is readSmall with as few system calls as can be: an os.File would be asked for its place in the poller, and be cleaned up after.
func (b *beneath) readRaw(name string, room []byte) (_ []byte, mode fs.FileMode, whole bool, err error) {
	failed := func(err error) ([]byte, fs.FileMode, bool, error) {
		return nil, 0, false, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	dir, base, err := b.descriptor(name)
	if err != nil {
		return nil, 0, false, err
	}
	var fd int
	for {
		fd, err = unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, 0, false, errNoFile
	}
	mode = fs.FileMode(st.Mode & 0o777)
	n := 0
	var over [1]byte
	for {
		into := room[n:]
		if len(into) == 0 {
			into = over[:]
		}
		k, err := unix.Read(fd, into)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return failed(err)
		case k == 0:
			return room[:n], mode, true, nil
		case n == len(room):
			return room[:n], mode, false, nil
		default:
			if n += k; int64(n) == st.Size && k < len(into) { // a read of a file is only short at its end
				return room[:n], mode, true, nil
			}
		}
	}
}
