package sshd

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// session is one session channel: some env requests, then one program.
type session struct {
	server *Server
	conn   *connection
	ch     ssh.Channel
	env    []string
	begun  bool // a program was asked for; a second one is refused
	proc   *process
	ended  chan struct{} // closed when the program is over; nil before it begins
}

func newSession(c *connection, ch ssh.Channel) *session {
	return &session{server: c.server, conn: c, ch: ch}
}

// serve answers the requests of the channel until it is closed by either
// side, and returns when its program is over or abandoned.
func (s *session) serve(requests <-chan *ssh.Request) {
	for r := range requests {
		s.request(r)
	}
	if s.proc != nil {
		s.proc.abandon(s.server.opts.KillOnClose)
	}
	if s.ended != nil {
		<-s.ended
	}
	s.ch.Close()
}

func (s *session) request(r *ssh.Request) {
	reply := func(ok bool) {
		if r.WantReply {
			r.Reply(ok, nil)
		}
	}
	var text struct{ Value string }
	switch r.Type {
	case "env":
		var kv struct{ Name, Value string }
		ok := ssh.Unmarshal(r.Payload, &kv) == nil && s.acceptEnv(kv.Name)
		if ok {
			s.env = append(s.env, kv.Name+"="+kv.Value)
		}
		reply(ok)
	case "exec":
		if ssh.Unmarshal(r.Payload, &text) != nil {
			reply(false)
			return
		}
		s.server.count(func(st *Stats) { st.Commands = append(st.Commands, text.Value) })
		s.exec(text.Value, false, reply)
	case "shell":
		s.exec("", true, reply)
	case "subsystem":
		if ssh.Unmarshal(r.Payload, &text) != nil {
			reply(false)
			return
		}
		s.subsystem(text.Value, reply)
	case "signal":
		ok := ssh.Unmarshal(r.Payload, &text) == nil && s.proc != nil && s.proc.signal(text.Value)
		reply(ok)
	default:
		// pty-req and window-change too: there is no terminal here, and a
		// client that does not insist goes on without one.
		reply(false)
	}
}

func (s *session) acceptEnv(name string) bool {
	if s.server.opts.AcceptEnv != nil {
		return s.server.opts.AcceptEnv(name)
	}
	return name == "LANG" || strings.HasPrefix(name, "LC_")
}

// exec answers a request for a command or a shell and starts it.
func (s *session) exec(command string, shell bool, reply func(bool)) {
	f := s.conn.tcp.faults
	if s.begun || f.RefuseExec {
		reply(false)
		return
	}
	if f.Silent == AtExec {
		return
	}
	s.begun = true
	if f.NoLogin != "" {
		reply(true)
		fmt.Fprintln(s.ch, f.NoLogin)
		s.exit(exitStatus{code: 1})
		s.ch.Close()
		return
	}
	if s.server.opts.ForceCommand != "" {
		s.env = append(s.env, "SSH_ORIGINAL_COMMAND="+command)
		command, shell = s.server.opts.ForceCommand, false
	}
	if f.BeforeExec != nil {
		f.BeforeExec(command)
	}
	argv := []string{"/bin/sh", "-c", command}
	if shell {
		argv = []string{"-sh"}
	}
	var ch io.ReadWriter = s.ch
	var stderr io.Writer = s.ch.Stderr()
	if f.Silent == AfterExec {
		ch, stderr = readOnly{s.ch}, io.Discard
	}
	p, err := s.server.startProcess(argv, s.environ(), s.dir(), ch, stderr)
	if err != nil {
		reply(true)
		fmt.Fprintln(s.ch.Stderr(), err)
		s.exit(exitStatus{code: 127})
		s.ch.Close()
		return
	}
	s.proc = p
	s.ended = make(chan struct{})
	reply(true)
	s.server.wg.Go(func() {
		defer close(s.ended)
		status := p.wait(func(st exitStatus) {
			if f.Silent != AfterExec {
				s.exit(st)
			}
		})
		if f.Silent == AfterExec && !status.abandoned {
			<-s.conn.tcp.gone
		}
		s.ch.CloseWrite()
		s.ch.Close()
	})
}

// exit says how the program ended.
func (s *session) exit(st exitStatus) {
	if silent := s.conn.tcp.faults.NoExitStatus; silent != nil && silent() {
		return
	}
	if st.signal == "" {
		s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(st.code)}))
		return
	}
	s.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
		Signal  string
		Core    bool
		Message string
		Lang    string
	}{st.signal, st.core, "", ""}))
}

// subsystem serves sftp, the only one there is.
func (s *session) subsystem(name string, reply func(bool)) {
	if s.server.opts.ForceCommand != "" {
		s.exec(name, false, reply)
		return
	}
	if name != "sftp" || s.server.opts.NoSFTP || s.begun || s.conn.tcp.faults.NoLogin != "" {
		reply(false)
		return
	}
	s.begun = true
	s.ended = make(chan struct{})
	serve := s.server.opts.SFTP
	if serve == nil {
		serve = s.sftp
	}
	reply(true)
	s.server.wg.Go(func() {
		defer close(s.ended)
		code := 0
		if err := serve(s.ch); err != nil && err != io.EOF {
			code = 1
		}
		s.exit(exitStatus{code: code})
		s.ch.Close()
	})
}

func (s *session) sftp(rw io.ReadWriteCloser) error {
	server, err := sftp.NewServer(rw, sftp.WithServerWorkingDirectory(s.dir()))
	if err != nil {
		return fmt.Errorf("start sftp server: %w", err)
	}
	defer server.Close()
	return server.Serve()
}

// environ is the environment sshd gives to a session: made anew, nothing of
// the server's own.
func (s *session) environ() []string {
	name, home := account()
	conn := s.conn.conn
	env := []string{
		"USER=" + name, "LOGNAME=" + name, "HOME=" + home, "SHELL=/bin/sh",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"SSH_CONNECTION=" + endpoint(conn.RemoteAddr()) + " " + endpoint(conn.LocalAddr()),
	}
	return slices.Concat(env, s.server.opts.Env, s.env)
}

func (s *session) dir() string {
	if s.server.opts.Dir != "" {
		return s.server.opts.Dir
	}
	_, home := account()
	if st, err := os.Stat(home); err == nil && st.IsDir() {
		return home
	}
	return string(os.PathSeparator)
}

func account() (name, home string) {
	u, err := user.Current()
	if err != nil {
		return "root", "/root"
	}
	return u.Username, u.HomeDir
}
