//go:build unix

package confine

import (
	"os"
	"syscall"
)

// newPage makes a page and the file by which a child gets it.
func newPage() (*page, *os.File, error) {
	f, err := anonymousFile()
	if err != nil {
		return nil, nil, err
	}
	if err := f.Truncate(pageBytes); err != nil {
		f.Close()
		return nil, nil, err
	}
	seal(f)
	p, err := mapPage(int(f.Fd()))
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return p, f, nil
}

// openPage is the page that the parent gave as a file.
func openPage(fd int) (*page, error) {
	syscall.CloseOnExec(fd)
	defer syscall.Close(fd)
	return mapPage(fd)
}

func mapPage(fd int) (*page, error) {
	mem, err := syscall.Mmap(fd, 0, pageBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &page{mem: mem}, nil
}

func (p *page) close() {
	if p != nil && p.mem != nil {
		syscall.Munmap(p.mem)
		p.mem = nil
	}
}

// unlinkedFile is a file without a name, for systems without memfd.
func unlinkedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "fabgo-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
