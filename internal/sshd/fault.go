package sshd

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Stage is a moment in the life of a connection at which a server may stop
// answering without closing it.
type Stage int

// The stages, in the order in which a client passes them.
const (
	Nowhere       Stage = iota
	AtKEX               // greets, then leaves the client's key exchange unanswered
	AtAuth              // leaves the authentication request unanswered
	AtChannelOpen       // leaves the opening of a session or forwarding unanswered
	AtExec              // leaves the exec request unanswered; the command is not run
	AfterExec           // runs the command and says so, then nothing of it ever comes back
)

// Faults is what goes wrong on one connection. The zero value is a healthy
// server.
type Faults struct {
	// Mute accepts the connection and never sends a byte.
	Mute bool
	// Silent leaves everything from this stage on unanswered.
	Silent Stage
	// CutAfterRead and CutAfterWritten reset the connection (TCP RST) as soon
	// as the server has read or written that many bytes of it, counted from
	// the greeting; the bytes before are passed on. Zero means never.
	CutAfterRead, CutAfterWritten int64
	// RefuseChannel may refuse a channel of the given kind ("session",
	// "direct-tcpip") by returning an error; an *ssh.OpenChannelError goes to
	// the client as it is, any other as "prohibited" with its text.
	RefuseChannel func(kind string) error
	// RefuseExec answers exec requests with "no" and runs nothing.
	RefuseExec bool
	// Denied refuses every authentication and sends this text as a banner, as
	// sshd with PAM does for locked and expired accounts.
	Denied string
	// NoLogin accepts the login, but every command prints this text and ends
	// with exit code 1, as with the shell /usr/sbin/nologin.
	NoLogin string
	// NoExitStatus closes the channel of a finished command without saying
	// how it ended, as a server that dies does. It is asked at the end of each
	// command.
	NoExitStatus func() bool
	// BeforeExec is called before a command is started, with its text. It may
	// block, and it may Cut or Freeze the server; it is not called for
	// commands that another fault stops.
	BeforeExec func(command string)
}

func (f Faults) refuse(kind string) *ssh.OpenChannelError {
	if f.RefuseChannel == nil {
		return nil
	}
	switch err := f.RefuseChannel(kind).(type) {
	case nil:
		return nil
	case *ssh.OpenChannelError:
		return err
	default:
		return &ssh.OpenChannelError{Reason: ssh.Prohibited, Message: err.Error()}
	}
}

// faultConn is the server's end of a TCP connection that may be frozen, muted
// after the greeting, or cut after some bytes.
type faultConn struct {
	net.Conn
	faults Faults
	gone   chan struct{} // closed with the connection
	frozen chan struct{}

	// No lock around Read or Write: one that waits for the peer must not hold
	// up the other. The transport has one reader and one writer at a time.
	read, written atomic.Int64
	greeted       bool
	closeOnce     sync.Once
	freezeOnce    sync.Once
	closeErr      error
}

func newFaultConn(c net.Conn, f Faults) *faultConn {
	return &faultConn{Conn: c, faults: f, gone: make(chan struct{}), frozen: make(chan struct{})}
}

func (c *faultConn) Close() error {
	c.closeOnce.Do(func() {
		close(c.gone)
		c.closeErr = c.Conn.Close()
	})
	return c.closeErr
}

// reset closes with RST instead of FIN, so that the peer sees "connection
// reset" even when all that was sent has arrived.
func (c *faultConn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// addTo adds what went through so far.
func (c *faultConn) addTo(st *Stats) {
	st.Read += c.read.Load()
	st.Written += c.written.Load()
}

func (c *faultConn) freeze() { c.freezeOnce.Do(func() { close(c.frozen) }) }

func (c *faultConn) isFrozen() bool {
	select {
	case <-c.frozen:
		return true
	default:
		return false
	}
}

func (c *faultConn) Read(p []byte) (int, error) {
	if limit := c.faults.CutAfterRead; limit > 0 {
		left := limit - c.read.Load()
		if left <= 0 {
			c.reset()
			return 0, net.ErrClosed
		}
		if int64(len(p)) > left {
			p = p[:left]
		}
	}
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	if c.isFrozen() {
		<-c.gone
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *faultConn) Write(p []byte) (int, error) {
	if c.isFrozen() {
		return len(p), nil
	}
	if c.faults.Silent == AtKEX {
		if c.greeted {
			return len(p), nil
		}
		// The greeting ends with the first newline; whatever shares its
		// packet is already key exchange.
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			c.greeted = true
			if _, err := c.Conn.Write(p[:i+1]); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	if limit := c.faults.CutAfterWritten; limit > 0 && c.written.Load()+int64(len(p)) >= limit {
		n, _ := c.Conn.Write(p[:max(limit-c.written.Load(), 0)])
		c.written.Add(int64(n))
		c.drainThenReset()
		return n, net.ErrClosed
	}
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// drainThenReset gives the kernel a chance to deliver the last bytes: a reset
// drops what is still in the send buffer, and a sweep over N would then cut
// somewhere before N.
func (c *faultConn) drainThenReset() {
	deadline := time.Now().Add(100 * time.Millisecond)
	for time.Now().Before(deadline) && unsent(c.Conn) > 0 {
		time.Sleep(time.Millisecond)
	}
	c.reset()
}
