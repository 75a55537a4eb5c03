package sshd

import (
	"net"

	"golang.org/x/sys/unix"
)

// unsent is how many bytes of a connection the peer has not acknowledged.
func unsent(c net.Conn) int {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	if err := raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }); err != nil {
		return 0
	}
	return n
}
