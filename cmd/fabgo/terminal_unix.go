//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// openTerminal opens the terminal that the process belongs to, also when its standard streams are something else.
func openTerminal() (*terminal, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &terminal{in: f, out: f}, nil
}

// quiet turns the echo of what is typed off. Lines and Ctrl-C go on working, so a signal ends the question. It sets the terminal before
// it returns: what undoes it cannot come first.
func quiet(f *os.File) (undo func(), err error) {
	fd := int(f.Fd())
	was, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	mute := *was
	mute.Lflag &^= unix.ECHO
	mute.Lflag |= unix.ICANON | unix.ISIG
	mute.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, setTermios, &mute); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, setTermios, was) }, nil
}
