//go:build linux

package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds everything that should happen at once.
const patience = time.Minute

// start starts a server that a fresh key may log in to.
func start(t *testing.T, o Options) (*Server, *ssh.ClientConfig) {
	t.Helper()
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	o.AuthorizedKeys = append(o.AuthorizedKeys, key.PublicKey())
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, &ssh.ClientConfig{
		User: "u", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(s.HostKey()), Timeout: patience,
	}
}

func dial(t *testing.T, s *Server, c *ssh.ClientConfig) *ssh.Client {
	t.Helper()
	client, err := ssh.Dial("tcp", s.Addr(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func open(t *testing.T, c *ssh.Client) *ssh.Session {
	t.Helper()
	sess, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sess.Close() })
	return sess
}

// within fails the test when f does not return in time.
func within(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("%s did not end", what)
		return nil
	}
}

func TestExec(t *testing.T) {
	s, cfg := start(t, Options{})
	c := dial(t, s, cfg)
	for _, tc := range []struct {
		name, cmd, in, out, err string
		code                    int
		signal                  string
	}{
		{name: "streams apart", cmd: "echo out; echo err >&2", out: "out\n", err: "err\n"},
		{name: "exit code", cmd: "exit 213", code: 213},
		{name: "stdin to its end", cmd: "cat; echo end", in: "a\x00b\n", out: "a\x00b\nend\n"},
		{name: "stdin unread", cmd: "exec 0<&-; echo ok", in: strings.Repeat("x", 8<<20), out: "ok\n"},
		{name: "killed", cmd: "kill -9 $$", signal: "KILL"},
		{name: "terminated", cmd: "kill -TERM $$", signal: "TERM"},
		{name: "not found", cmd: "exec /no/such/program 2>/dev/null", code: 127},
		{name: "large", cmd: "head -c 3000000 /dev/zero | tr '\\0' x", out: strings.Repeat("x", 3000000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sess := open(t, c)
			var out, errs bytes.Buffer
			sess.Stdout, sess.Stderr = &out, &errs
			if tc.in != "" {
				sess.Stdin = strings.NewReader(tc.in)
			}
			err := within(t, tc.cmd, func() error { return sess.Run(tc.cmd) })
			var exit *ssh.ExitError
			// A client that still writes when the program ends sees EOF, here as with sshd.
			if err != nil && !errors.As(err, &exit) && !(err == io.EOF && tc.name == "stdin unread") {
				t.Fatal(err)
			}
			code, signal := 0, ""
			if exit != nil {
				if signal = exit.Signal(); signal == "" {
					code = exit.ExitStatus()
				}
			}
			if out.String() != tc.out || errs.String() != tc.err || code != tc.code || signal != tc.signal {
				t.Errorf("out %.100q err %q code %d signal %q", out.String(), errs.String(), code, signal)
			}
		})
	}
	if got := s.Stats(); got.Connections != 1 || got.Logins != 1 || len(got.Commands) != 8 || got.Commands[1] != "exit 213" {
		t.Errorf("stats: %+v", got)
	}
}

func TestEnvPtyShell(t *testing.T) {
	s, cfg := start(t, Options{Env: []string{"FROM=server"}, Dir: t.TempDir()})
	c := dial(t, s, cfg)
	sess := open(t, c)
	if err := sess.Setenv("LC_ALL", "C"); err != nil {
		t.Errorf("LC_ALL was refused: %v", err)
	}
	if err := sess.Setenv("LD_PRELOAD", "/evil.so"); err == nil {
		t.Error("LD_PRELOAD was accepted")
	}
	if err := sess.RequestPty("xterm", 25, 80, nil); err == nil {
		t.Error("a pty was promised that does not exist")
	}
	out, err := sess.Output(`echo $FROM $LC_ALL ${LD_PRELOAD-unset} ${GOFLAGS-unset}; set -- $SSH_CONNECTION; echo $1 $#; pwd`)
	if want := "server C unset unset\n127.0.0.1 4\n" + s.opts.Dir + "\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v", out, err)
	}
	shell := open(t, c)
	var got bytes.Buffer
	shell.Stdin, shell.Stdout = strings.NewReader("echo shell; exit 3\n"), &got
	if err := shell.Shell(); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := shell.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 || got.String() != "shell\n" {
		t.Errorf("shell: %q, %v", got.String(), err)
	}
}

// running starts a command whose first line of output is its process id.
func running(t *testing.T, sess *ssh.Session, cmd string) (pid int, rest io.Reader) {
	t.Helper()
	out, err := sess.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Start("echo $$; " + cmd); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, &pid); err != nil {
		t.Fatal(err)
	}
	return pid, out
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// eventually polls for what another process does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never happened: %s", what)
		}
	}
}

func TestSignalReachesTheGroup(t *testing.T) {
	s, cfg := start(t, Options{})
	sess := open(t, dial(t, s, cfg))
	pid, rest := running(t, sess, "sleep 1000 & echo $!; wait")
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("process group %d of %d, %v", group, pid, err)
	}
	var child int
	if _, err := fmt.Fscanln(rest, &child); err != nil {
		t.Fatal(err)
	}
	if err := sess.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := within(t, "wait", sess.Wait); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("wait: %v", err)
	}
	eventually(t, "the child ends too", func() bool { return !alive(child) })
}

func TestClosedChannel(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("kill=%v", kill), func(t *testing.T) {
			s, cfg := start(t, Options{KillOnClose: kill})
			sess := open(t, dial(t, s, cfg))
			pid, _ := running(t, sess, "trap '' HUP PIPE; read x; exec sleep 1000")
			sess.Close()
			if kill {
				eventually(t, "the command was killed", func() bool { return !alive(pid) })
				return
			}
			// Its standard input is at its end, which is how it gets to the sleep.
			eventually(t, "the command lives on", func() bool {
				cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
				return string(cmdline) == "sleep\n"
			})
			within(t, "close", s.Close)
			if alive(pid) {
				t.Error("close left a process behind")
			}
		})
	}
}

func TestMaxSessions(t *testing.T) {
	s, cfg := start(t, Options{MaxSessions: 2})
	c := dial(t, s, cfg)
	first := open(t, c)
	open(t, c)
	_, err := c.NewSession()
	var open *ssh.OpenChannelError
	if !errors.As(err, &open) || open.Reason != ssh.ConnectionFailed {
		t.Errorf("third session: %v", err)
	}
	if err := first.Run("true"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slot is free again", func() bool {
		sess, err := c.NewSession()
		if err == nil {
			sess.Close()
		}
		return err == nil
	})
}

func TestForceCommand(t *testing.T) {
	s, cfg := start(t, Options{ForceCommand: `echo "only: $SSH_ORIGINAL_COMMAND"`})
	c := dial(t, s, cfg)
	if out, err := open(t, c).Output("rm -rf /x"); err != nil || string(out) != "only: rm -rf /x\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := sftp.NewClient(c); err == nil {
		t.Error("sftp came through a forced command")
	}
}

func TestSFTP(t *testing.T) {
	dir := t.TempDir()
	s, cfg := start(t, Options{})
	c, err := sftp.NewClient(dial(t, s, cfg))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, ext := range []string{"posix-rename@openssh.com", "hardlink@openssh.com", "statvfs@openssh.com"} {
		if _, ok := c.HasExtension(ext); !ok {
			t.Errorf("extension %s is missing", ext)
		}
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	f, err := c.OpenFile(a, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.WriteFile(b, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.PosixRename(a, b); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(b); string(got) != "hi" {
		t.Errorf("b = %q", got)
	}

	s2, cfg2 := start(t, Options{NoSFTP: true})
	if _, err := sftp.NewClient(dial(t, s2, cfg2)); err == nil {
		t.Error("NoSFTP serves SFTP")
	}
	s3, cfg3 := start(t, Options{SFTP: func(rw io.ReadWriteCloser) error {
		return sftp.NewRequestServer(rw, sftp.InMemHandler()).Serve()
	}})
	fake, err := sftp.NewClient(dial(t, s3, cfg3))
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	if list, err := fake.ReadDir("/"); err != nil || len(list) != 0 {
		t.Errorf("the override was not asked: %v, %v", list, err)
	}
}

func TestJump(t *testing.T) {
	far, farCfg := start(t, Options{})
	hop, hopCfg := start(t, Options{})
	via := dial(t, hop, hopCfg)
	tcp, err := via.Dial("tcp", far.Addr())
	if err != nil {
		t.Fatal(err)
	}
	conn, chans, reqs, err := ssh.NewClientConn(tcp, far.Addr(), farCfg)
	if err != nil {
		t.Fatal(err)
	}
	c := ssh.NewClient(conn, chans, reqs)
	if out, err := open(t, c).Output("echo far"); err != nil || string(out) != "far\n" {
		t.Errorf("%q, %v", out, err)
	}
	c.Close()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var open *ssh.OpenChannelError
	if _, err := via.Dial("tcp", l.Addr().String()); !errors.As(err, &open) || open.Reason != ssh.ConnectionFailed {
		t.Errorf("closed port: %v", err)
	}
	shut, shutCfg := start(t, Options{NoForwarding: true})
	if _, err := dial(t, shut, shutCfg).Dial("tcp", far.Addr()); !errors.As(err, &open) || open.Reason != ssh.Prohibited {
		t.Errorf("forbidden forwarding: %v", err)
	}
}

// TestForwardHalfClosed: what is sent after the other side has finished
// sending still arrives.
func TestForwardHalfClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer c.Close()
		c.(*net.TCPConn).CloseWrite()
		all, _ := io.ReadAll(c)
		got <- string(all)
	}()
	s, cfg := start(t, Options{})
	c, err := dial(t, s, cfg).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(c, "late"); err != nil {
		t.Error(err)
	}
	c.Close()
	if s := <-got; s != "late" {
		t.Errorf("got %q", s)
	}
}

func TestKeepalive(t *testing.T) {
	s, cfg := start(t, Options{})
	c := dial(t, s, cfg)
	err := within(t, "keepalive", func() error {
		_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
