//go:build linux || darwin || freebsd

package local

import (
	"context"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// source is this machine for package tables.
type source struct{ h *Host }

var _ tables.Native = source{}

func (s source) ReadFile(_ context.Context, p transport.Path) ([]byte, error) {
	f, err := openRegular(string(p))
	if err != nil {
		return nil, fail("read", p, err)
	}
	defer f.Close()
	b, err := f.readAll(math.MaxInt64 - 1)
	return b, fail("read", p, err)
}

// Exec does not ask who the acting user is: that answer may take a command itself.
func (s source) Exec(ctx context.Context, op transport.Exec) (transport.Output, error) {
	return s.h.run(ctx, op, s.h.nameless(), false)
}

func (s source) Stamp(_ context.Context, p transport.Path) (tables.Stamp, error) {
	st, err := stamp(string(p))
	return st, fail("stat", p, err)
}

func (s source) Names(_ context.Context, p transport.Path) ([]string, error) {
	f, err := os.OpenFile(string(p), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fail("list", p, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	return names, fail("list", p, err)
}

// stamp names the state of a file. A file's time is that of the kernel's last tick, so one that changed within the last tick can change
// once more and look the same: it has no stamp yet. Some file systems count whole seconds.
func stamp(p string) (tables.Stamp, error) {
	var st unix.Stat_t
	if err := unix.Stat(p, &st); err != nil {
		return tables.Stamp{}, err
	}
	ctime := time.Unix(st.Ctim.Unix())
	tick := 50 * time.Millisecond
	if st.Ctim.Nsec == 0 {
		tick = 2 * time.Second
	}
	if age := time.Since(ctime); age > -time.Hour && age < tick { // far in the future: the clock was set back, and will not pass there soon
		return tables.Stamp{}, nil
	}
	return tables.Stamp{Dev: uint64(st.Dev), Ino: st.Ino, Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: ctime.UnixNano()}, nil
}
