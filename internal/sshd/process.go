package sshd

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// exitStatus is how a program ended: a code, or the name of a signal as SSH
// writes it (without SIG).
type exitStatus struct {
	code      int
	signal    string
	core      bool
	abandoned bool
}

// process is a program with three pipes and a process group of its own.
type process struct {
	server *Server
	cmd    *exec.Cmd
	in     *os.File       // our end of standard input
	out    []*os.File     // our ends of standard output and standard error
	copies sync.WaitGroup // of the two outputs

	mu      sync.Mutex
	reaped  bool // the program itself has ended
	over    bool // and nobody holds its outputs any more
	dropped bool // abandon was called
}

// startProcess starts argv, feeds it from ch and copies its outputs to ch and
// stderr. argv[0] with a leading dash is a login shell.
func (s *Server) startProcess(argv, env []string, dir string, ch io.ReadWriter, stderr io.Writer) (*process, error) {
	path := argv[0]
	if strings.HasPrefix(path, "-") {
		path = "/bin/" + path[1:]
	}
	p := &process{server: s, cmd: &exec.Cmd{Path: path, Args: argv, Env: env, Dir: dir}}
	p.cmd.SysProcAttr = ownGroup()
	var theirs []*os.File
	closeAll := func() {
		for _, f := range append(theirs, p.ours()...) {
			f.Close()
		}
	}
	for fd := range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll()
			return nil, fmt.Errorf("start %s: %w", path, err)
		}
		if fd == 0 {
			p.cmd.Stdin, p.in, theirs = r, w, append(theirs, r)
			continue
		}
		p.out, theirs = append(p.out, r), append(theirs, w)
	}
	p.cmd.Stdout, p.cmd.Stderr = theirs[1], theirs[2]

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		closeAll()
		return nil, fmt.Errorf("start %s: server is closed", path)
	}
	err := p.cmd.Start()
	if err != nil {
		s.mu.Unlock()
		closeAll()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	s.procs[p] = struct{}{}
	s.mu.Unlock()
	for _, f := range theirs {
		f.Close()
	}
	// Not counted in copies: it ends with the channel, not with the program.
	s.wg.Go(func() {
		io.Copy(p.in, ch)
		p.in.Close()
		// A program that reads no further must not stall a client that writes.
		io.Copy(io.Discard, ch)
	})
	p.copies.Go(func() { io.Copy(ch, p.out[0]) })
	p.copies.Go(func() { io.Copy(stderr, p.out[1]) })
	return p, nil
}

func (p *process) ours() []*os.File { return append([]*os.File{p.in}, p.out...) }

// wait returns when the program has ended and all who hold its outputs have
// let go, as sshd does; ended is called as soon as the program itself is over.
func (p *process) wait(ended func(exitStatus)) exitStatus {
	p.cmd.Wait() // its error repeats the state, which is read below
	st := exitStatus{code: 255}
	if p.cmd.ProcessState != nil {
		st = statusOf(p.cmd.ProcessState)
	}
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	ended(st)
	p.copies.Wait()
	p.in.Close()
	p.server.mu.Lock()
	delete(p.server.procs, p)
	p.server.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	st.abandoned = p.dropped
	return st
}

// abandon lets go of a program's pipes and, when asked, kills its group.
func (p *process) abandon(kill bool) {
	p.mu.Lock()
	p.dropped = true
	// Once the program is over its group may be somebody else's.
	if kill && !p.over {
		killGroup(p.cmd.Process.Pid, "KILL")
	}
	p.mu.Unlock()
	for _, f := range p.ours() {
		f.Close()
	}
}

// signal sends a signal, named as SSH names it, to the program's group.
func (p *process) signal(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return false
	}
	return killGroup(p.cmd.Process.Pid, name)
}

// readOnly is a channel whose writes go nowhere.
type readOnly struct{ ch ssh.Channel }

func (r readOnly) Read(p []byte) (int, error)  { return r.ch.Read(p) }
func (r readOnly) Write(p []byte) (int, error) { return len(p), nil }

// endpoint writes an address as SSH_CONNECTION does: "host port".
func endpoint(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String() + " 0"
	}
	return host + " " + port
}
