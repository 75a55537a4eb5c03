// Package sshd is a small SSH server that serves the machine, or the
// namespace, of the process it runs in: real commands through /bin/sh, the
// real file system over SFTP, and forwarded TCP connections.
//
// It has two users. The sandbox runs it as the only door into a throw-away
// copy of this machine, and the tests run it in their own process as the far
// end of every SSH connection, where its [Faults] play the servers that hang,
// cut, lie and refuse.
//
// The one rule: behave as OpenSSH's sshd does wherever a client can tell the
// difference, and misbehave only where a Fault asks for it.
//
// The trap: sessions run as the user of this process whatever user name the
// client gave, so a server that listens where others can reach it hands out
// that user. Listen on loopback addresses and keep the client's key private.
//
// The promise: when Close returns, the listener, the connections, the
// processes whose session was still open and every goroutine are gone.
package sshd

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options says what a server offers. The zero value listens on a free
// loopback port with a fresh host key and lets nobody in.
type Options struct {
	// Listener takes the connections and belongs to the server from then on.
	// Nil means a free port of 127.0.0.1.
	Listener net.Listener
	// HostKeys are offered in this order. Nil means one fresh ed25519 key.
	HostKeys []ssh.Signer
	// Version is the server's greeting; it has to begin with "SSH-2.0-".
	// Empty means "SSH-2.0-fabgo".
	Version string
	// Banner is sent before authentication. Empty means none.
	Banner string
	// LoginGrace bounds the time from accept to authenticated. Zero means two
	// minutes, as in OpenSSH.
	LoginGrace time.Duration

	// AllowUser says which user names may log in at all. Nil means all, which
	// does not make a difference to the user that sessions run as.
	AllowUser func(user string) bool
	// AuthorizedKeys may log in as any user who is allowed.
	AuthorizedKeys []ssh.PublicKey
	// UserCA signs certificates that may log in as the principals they name.
	UserCA ssh.PublicKey
	// Password decides on a password. Nil means that the method is not offered.
	Password func(user, password string) bool
	// KeyboardInteractive asks its questions through ask and decides on the
	// answers. Nil means that the method is not offered.
	KeyboardInteractive func(user string, ask ssh.KeyboardInteractiveChallenge) (bool, error)

	// MaxSessions bounds the open session channels of one connection. Zero
	// means 10, as in OpenSSH; below zero, none is allowed.
	MaxSessions int
	// ForceCommand runs instead of whatever command, shell or subsystem was
	// asked for; the asked one is in SSH_ORIGINAL_COMMAND.
	ForceCommand string
	// NoSFTP refuses the sftp subsystem.
	NoSFTP bool
	// SFTP serves the sftp subsystem in place of the real one and returns when
	// the conversation is over. For servers that lie.
	SFTP func(io.ReadWriteCloser) error
	// NoForwarding refuses direct-tcpip channels, as AllowTcpForwarding=no does.
	NoForwarding bool
	// AcceptEnv says which env requests are granted. Nil means LANG and LC_*,
	// as Debian configures OpenSSH.
	AcceptEnv func(name string) bool
	// KillOnClose ends the process group of a command when its channel closes.
	// OpenSSH does not: the command sees a closed pipe and goes on.
	KillOnClose bool

	// Dir is where sessions start. Empty means the home folder of the user
	// whom the process runs as, or "/" when that does not exist.
	Dir string
	// Env is added to the environment of sessions ("KEY=value").
	Env []string

	// Faults gives the faults of the nth connection, counted from 0. Nil
	// means none at all.
	Faults func(conn int) Faults
}

// Server is a running SSH server.
type Server struct {
	opts Options
	keys []ssh.Signer

	wg   sync.WaitGroup
	done chan struct{}

	mu     sync.Mutex
	closed bool
	conns  map[*faultConn]struct{}
	procs  map[*process]struct{}
	stats  Stats
}

// Stats is what a server has seen so far.
type Stats struct {
	Connections  int      // accepted TCP connections
	AuthAttempts int      // authentication requests, the probing "none" left out
	Logins       int      // connections that came through authentication
	Sessions     int      // session channels that were opened
	Commands     []string // exec requests, in the order in which they came in
	// Read and Written are the bytes of all connections, greeting included:
	// the range over which a test sweeps CutAfterRead and CutAfterWritten.
	Read, Written int64
}

// Start starts a server in the background.
func Start(o Options) (*Server, error) {
	s := &Server{
		opts:  o,
		keys:  o.HostKeys,
		done:  make(chan struct{}),
		conns: map[*faultConn]struct{}{},
		procs: map[*process]struct{}{},
	}
	if len(s.keys) == 0 {
		key, err := NewKey()
		if err != nil {
			return nil, err
		}
		s.keys = []ssh.Signer{key}
	}
	if s.opts.Listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("start ssh server: %w", err)
		}
		s.opts.Listener = l
	}
	s.wg.Go(s.accept)
	return s, nil
}

// NewKey makes a fresh ed25519 key, for a host or for a client.
func NewKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate ssh key: %w", err)
	}
	return ssh.NewSignerFromKey(private)
}

// Addr is the address the server listens on, as host:port.
func (s *Server) Addr() string { return s.opts.Listener.Addr().String() }

// HostKey is the first host key.
func (s *Server) HostKey() ssh.PublicKey { return s.keys[0].PublicKey() }

// Stats returns a copy of what the server has seen so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Commands = slices.Clone(st.Commands)
	for c := range s.conns {
		c.addTo(&st)
	}
	return st
}

// Close stops listening, cuts every connection, kills the process groups of
// all sessions that are still open and waits until nothing is left.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.closed = true
	close(s.done)
	conns := s.connsLocked()
	var procs []*process
	for p := range s.procs {
		procs = append(procs, p)
	}
	s.mu.Unlock()

	err := s.opts.Listener.Close()
	for _, c := range conns {
		c.Close()
	}
	for _, p := range procs {
		p.abandon(true)
	}
	s.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// Wait returns when the server was closed or its listener failed.
func (s *Server) Wait() { s.wg.Wait() }

// Cut resets every open connection (TCP RST) and goes on listening.
func (s *Server) Cut() {
	for _, c := range s.open() {
		c.reset()
	}
}

// Freeze makes every open connection go dead without closing it: nothing is
// read from it and nothing written to it is sent, as behind a firewall that
// drops packets. It cannot be undone; closing the server still works.
func (s *Server) Freeze() {
	for _, c := range s.open() {
		c.freeze()
	}
}

func (s *Server) open() []*faultConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connsLocked()
}

func (s *Server) connsLocked() []*faultConn {
	conns := make([]*faultConn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

func (s *Server) accept() {
	for {
		tcp, err := s.opts.Listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			tcp.Close()
			return
		}
		var f Faults
		if s.opts.Faults != nil {
			f = s.opts.Faults(s.stats.Connections)
		}
		s.stats.Connections++
		c := newFaultConn(tcp, f)
		s.conns[c] = struct{}{}
		s.wg.Go(func() { s.serve(c) })
		s.mu.Unlock()
	}
}

func (s *Server) serve(c *faultConn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		c.addTo(&s.stats)
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	if c.faults.Mute {
		<-c.gone
		return
	}
	grace := s.opts.LoginGrace
	if grace == 0 {
		grace = 2 * time.Minute
	}
	timer := time.AfterFunc(grace, func() { c.Close() })
	conn, channels, requests, err := ssh.NewServerConn(c, s.authConfig(c))
	timer.Stop()
	if err != nil {
		return
	}
	s.count(func(st *Stats) { st.Logins++ })

	var wg sync.WaitGroup
	wg.Go(func() { s.globalRequests(requests) })
	sessions := &connection{server: s, conn: conn, tcp: c}
	for nc := range channels {
		wg.Go(func() { sessions.channel(nc) })
	}
	wg.Wait()
	conn.Close()
}

// globalRequests refuses them all. To keepalive@openssh.com that is the
// answer OpenSSH gives, and all that a client needs: an answer.
func (s *Server) globalRequests(requests <-chan *ssh.Request) {
	for r := range requests {
		if r.WantReply {
			r.Reply(false, nil)
		}
	}
}

func (s *Server) count(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}
