package ssh

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// proxyCommand runs the user's ProxyCommand; its standard input and output are the connection.
func proxyCommand(ep Endpoint) (net.Conn, error) {
	ctx, cancel := context.WithCancel(context.Background())
	// A Ctrl-C on the terminal goes to all its processes. It is fabgo's to decide when the connection ends.
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "trap '' INT; exec "+ep.ProxyCommand)
	if runtime.GOOS == "windows" {
		cmd = exec.CommandContext(ctx, "cmd", "/c", ep.ProxyCommand)
	}
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("%s: %w", ep.ProxyCommand, err)
	}
	return &commandConn{cmd: cmd, in: in, out: out, cancel: cancel, addr: addrOf(ep)}, nil
}

// commandConn is a program as a connection. It has no deadlines: whoever wants one closes it from a timer.
type commandConn struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.ReadCloser
	cancel context.CancelFunc
	addr   net.Addr
	once   sync.Once
}

func (c *commandConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *commandConn) Write(p []byte) (int, error) { return c.in.Write(p) }

func (c *commandConn) Close() error {
	c.once.Do(func() {
		c.in.Close()
		c.cancel()
		go c.cmd.Wait() // reaps it; Close itself must not wait
	})
	return nil
}

func (c *commandConn) LocalAddr() net.Addr              { return c.addr }
func (c *commandConn) RemoteAddr() net.Addr             { return c.addr }
func (c *commandConn) SetDeadline(time.Time) error      { return nil }
func (c *commandConn) SetReadDeadline(time.Time) error  { return nil }
func (c *commandConn) SetWriteDeadline(time.Time) error { return nil }
