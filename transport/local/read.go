//go:build linux || darwin || freebsd

package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// openRegular opens a regular file to read. A pipe would block and a device would act on being opened, so it looks first, and once
// more at what it got.
func openRegular(p string) (*file, error) {
	var st unix.Stat_t
	if err := unix.Stat(p, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, notRegular(transport.Path(p))
	}
	return openKnown(unix.AT_FDCWD, p, 0, func() transport.Path { return transport.Path(p) })
}

// openKnown opens a file that was regular when the caller looked; p tells its path, for messages.
func openKnown(dirfd int, name string, flags int, p func() transport.Path) (*file, error) {
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = notRegular(p())
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &file{fd: fd, size: st.Size}, nil
}

func notRegular(p transport.Path) error {
	return refuse("read", p, "it is not a regular file", "")
}

// file is an open regular file. An os.File would ask the kernel to watch it, which regular files are not for.
type file struct {
	fd   int
	size int64 // as it was when it was opened; files of /proc say 0
}

func (f *file) Close() error { return unix.Close(f.fd) }

func (f *file) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(f.fd, p)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// buffer is as large as it takes to read size bytes and see the end, within reason.
func buffer(size int64) []byte { return make([]byte, max(512, min(size+1, 256<<10))) }

// readAll reads the file, at most limit bytes of it.
func (f *file) readAll(limit int64) ([]byte, error) {
	b := make([]byte, max(512, min(f.size+1, limit, 16<<20)))
	n := 0
	for {
		k, err := f.Read(b[n:min(int64(len(b)), limit)])
		n += k
		if err == io.EOF || err == nil && int64(n) == limit {
			return b[:n:n], nil
		}
		if err != nil {
			return nil, err
		}
		if n == len(b) {
			b = append(b, make([]byte, len(b))...)
		}
	}
}

// digestFile digests a file that was regular when the caller looked. room is for reading; nil: it makes its own.
func digestFile(ctx context.Context, dirfd int, name string, flags int, p func() transport.Path, room []byte) (transport.Digest, int64, error) {
	f, err := openKnown(dirfd, name, flags, p)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	b := room
	if b == nil {
		b = buffer(f.size)
	}
	sum := sha256.New()
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, interrupted("read", err)
		}
		n, err := f.Read(b)
		sum.Write(b[:n])
		size += int64(n)
		if err == io.EOF || err == nil && f.size > 0 && size == f.size && n < len(b) { // a read of a file is only short at its end
			return transport.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))), size, nil
		}
		if err != nil {
			return "", 0, err
		}
	}
}
