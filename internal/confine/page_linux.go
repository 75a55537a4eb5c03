package confine

import (
	"os"

	"golang.org/x/sys/unix"
)

// anonymousFile is in memory; kernels before 3.17 cannot do that.
func anonymousFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("fabgo-where", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return unlinkedFile()
	}
	return os.NewFile(uintptr(fd), "fabgo-where"), nil
}

// seal keeps the child from cutting the file short, which would end the parent when it reads (SIGBUS).
func seal(f *os.File) {
	unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
}
