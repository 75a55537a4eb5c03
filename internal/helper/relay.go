//go:build unix

package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fabgo/internal/journal"
	"fabgo/transport"
)

// relayToOwner starts the process that a run belongs to and stands between it and SSH. A run that goes on has its ID already.
func relayToOwner(e Env, resume string) error {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("start the run: %w", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1]) // ExtraFiles passes a copy; this one would go on to every command of the run, and keep the relay waiting for it
	far := os.NewFile(uintptr(fds[1]), "controller")
	near := os.NewFile(uintptr(fds[0]), "owner")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, Command, modeOwn)
	if resume != "" {
		cmd.Args = append(cmd.Args, resume)
	}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	if d := os.Getenv(StateEnv); d != "" {
		cmd.Env = append(cmd.Env, StateEnv+"="+d)
	}
	cmd.ExtraFiles = []*os.File{far}
	// A session of its own: neither the death of the terminal, nor sudo's, nor SSH's hangs it up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if s, err := stateDir(); err == nil {
		if f, err := os.OpenFile(s.crashes(), os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600); err == nil {
			cmd.Stderr = f
			defer f.Close()
		}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the run: %w", err)
	}
	far.Close()
	c, err := net.FileConn(near)
	near.Close()
	if err != nil {
		return err
	}
	return relay(e, c)
}

// relay passes bytes until the owner closes; what SSH closes is passed on. They are copied by hand: splice, which io.Copy would take, is for
// few and large pieces, and costs several calls for each of many small ones.
func relay(e Env, c net.Conn) error {
	pass := func(w io.Writer, r io.Reader) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 64<<10))
		return err
	}
	go func() {
		_ = pass(c, e.Stdin)
		if u, ok := c.(*net.UnixConn); ok {
			_ = u.CloseWrite()
		}
	}()
	err := pass(e.Stdout, c)
	c.Close()
	return err
}

// ownRun is the life of the process that a run belongs to: a new one, or one that goes on after a restart of the machine.
func ownRun(version, resume string) error {
	// Heard and not heeded: what is ignored would be so in the commands of the run too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGINT)
	f := os.NewFile(3, "controller")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("own a run: %w", err)
	}
	o, err := newOwner(version)
	if err != nil {
		c.Close()
		return err
	}
	if resume != "" {
		if err := o.resume(resume); err != nil {
			o.child.Kill()
			c.Close()
			return err
		}
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		if o.rebooting.Load() { // the restart that the run asked for: it goes on afterwards
			close(o.suspended)
			return
		}
		o.stop(errors.New("the run was told to end on the host (SIGTERM)"))
		close(o.down)
	}()
	leave := time.AfterFunc(leaveDelay, func() { _ = leaveSession(os.Getpid(), o.child.Pid()) })
	defer leave.Stop()
	return o.live(c, c, c.Close)
}

// relayToResumed connects a controller to a run that goes on after the restart of the machine, and starts the process that it belongs to.
func relayToResumed(e Env, id string) error {
	s, err := stateDir()
	if err != nil {
		return err
	}
	run, err := s.store().Find(id)
	if err != nil {
		return err
	}
	if c, err := dial(s.socket(run.ID)); err == nil { // it has not gone down yet, or goes on already
		return relay(e, c)
	}
	m, err := readMarker(run)
	if errors.Is(err, fs.ErrNotExist) {
		return past(e, run)
	} else if err != nil {
		return err
	}
	if now, err := bootID(); err != nil || now == m.Boot {
		return fmt.Errorf("the machine has not restarted yet")
	}
	return relayToOwner(e, run.ID)
}

// relayToRun connects a controller to a run: the one of an ID, else the one that holds the lock, else the latest.
func relayToRun(e Env, id string) error {
	s, err := stateDir()
	if err != nil {
		return err
	}
	if h, locked := s.locked(); id == "" && locked {
		id = h.Run
	}
	if id == "" {
		id = "last"
	}
	run, err := s.store().Find(id)
	if err != nil {
		d := s.noRun(id)
		d.NoRun = true
		return tell(e, newHub(), d)
	}
	if c, err := dial(s.socket(run.ID)); err == nil {
		return relay(e, c)
	}
	return past(e, run)
}

// noRun tells that there is no run of an ID, and which there are.
func (s state) noRun(id string) Done {
	runs, err := s.store().Runs()
	switch {
	case err != nil:
		return Done{Error: err.Error()}
	case len(runs) == 0:
		return Done{Error: "the host remembers no run of this user", Hint: "runs with --sudo are root's: attach with --sudo too"}
	}
	var ids []string
	alike := 0
	for i, r := range runs {
		if i < 5 {
			ids = append(ids, r.ID)
		}
		if strings.HasPrefix(r.ID, id) || strings.HasSuffix(r.ID, id) {
			alike++
		}
	}
	d := Done{Error: fmt.Sprintf("the host remembers no run %q", id), Hint: "its latest are " + strings.Join(ids, ", ")}
	if alike > 1 {
		d.Error = fmt.Sprintf("%d runs on the host begin or end with %q", alike, id)
	}
	return d
}

// Names of sockets have at most 107 bytes; one in a deep folder is reached through the folder's descriptor.

func listen(socket string) (l net.Listener, err error) {
	err = near(socket, func(name string) error { l, err = net.Listen("unix", name); return err })
	return l, err
}

func dial(socket string) (c net.Conn, err error) {
	err = near(socket, func(name string) error { c, err = net.Dial("unix", name); return err })
	return c, err
}

func near(socket string, f func(name string) error) error {
	if len(socket) <= 100 {
		return f(socket)
	}
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return err
	}
	defer dir.Close()
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket)))
}

// past serves a run that is over from its journal.
func past(e Env, run *journal.Run) error {
	h := newHub()
	d := Done{Kind: transport.Lost, Error: "the run ended without saying how: the host went down, or the process was killed"}
	hosts, err := run.Hosts()
	if err != nil {
		return err
	}
	for _, name := range hosts {
		recs, err := run.Read(name)
		if err != nil {
			return err
		}
		for _, r := range recs {
			if err := keepAll(h, run, r); err != nil {
				return err
			}
			if err := h.Record(r); err != nil {
				return err
			}
			if f, ok := r.Body.(journal.Finish); ok {
				d = Done{Verdict: f.Status}
			}
		}
	}
	return tell(e, h, d)
}

// tell serves a controller of something that is over.
func tell(e Env, h *hub, d Done) error {
	h.stay = true // somebody is about to come
	h.end(d)
	o := &owner{version: e.Version, hub: h}
	o.hard, o.cut = background()
	o.soft, o.stop = o.hard, o.cut
	c := o.connect(e.Stdin, e.Stdout, func() error { e.Stdin.Close(); return e.Stdout.Close() })
	select {
	case <-c.Done():
	case <-h.read:
		c.Close()
	}
	return nil
}

// keepAll hands over the contents that a record names, as far as the run kept them.
func keepAll(h *hub, run *journal.Run, r journal.Record) error {
	var raw, result json.RawMessage
	switch b := r.Body.(type) {
	case journal.Intent:
		raw = b.Op
	case journal.Outcome:
		raw, result = b.Op, b.Result
	default:
		return nil
	}
	op, err := transport.DecodeOp(raw)
	if err != nil {
		return err
	}
	keep := func(c transport.Content) transport.Content {
		if c = run.Blob(c); c.Known() {
			err = errors.Join(err, h.Keep(c))
		}
		return c
	}
	transport.BindOp(op, keep)
	if len(result) > 0 {
		if res, derr := transport.DecodeResult(op, result); derr == nil {
			transport.BindResult(res, keep)
		}
	}
	return err
}
