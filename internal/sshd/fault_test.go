//go:build linux

package sshd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func always(f Faults) func(int) Faults { return func(int) Faults { return f } }

// hangs says that f was still busy when the connection under it was closed,
// and that closing ended it.
func hangs(t *testing.T, f func() error, end func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		t.Fatalf("answered: %v", err)
	case <-time.After(150 * time.Millisecond): // the absence of an answer takes time to see
	}
	end()
	if err := <-done; err == nil {
		t.Fatal("no error after the connection was closed")
	}
}

func TestSilence(t *testing.T) {
	t.Run("mute", func(t *testing.T) {
		s, _ := start(t, Options{Faults: always(Faults{Mute: true})})
		tcp, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		hangs(t, func() error { _, err := tcp.Read(make([]byte, 1)); return err }, func() { tcp.Close() })
	})
	for name, stage := range map[string]Stage{"kex": AtKEX, "auth": AtAuth} {
		t.Run(name, func(t *testing.T) {
			s, cfg := start(t, Options{Faults: always(Faults{Silent: stage})})
			tcp, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			checked := false
			check := cfg.HostKeyCallback
			cfg.HostKeyCallback = func(h string, a net.Addr, k ssh.PublicKey) error { checked = true; return check(h, a, k) }
			hangs(t, func() error { _, _, _, err := ssh.NewClientConn(tcp, "", cfg); return err }, func() { tcp.Close() })
			if checked != (stage == AtAuth) {
				t.Errorf("host key checked: %v", checked)
			}
		})
	}
	t.Run("channel open", func(t *testing.T) {
		s, cfg := start(t, Options{Faults: always(Faults{Silent: AtChannelOpen})})
		c := dial(t, s, cfg)
		hangs(t, func() error { _, err := c.NewSession(); return err }, func() { c.Close() })
	})
	marker := t.TempDir() + "/ran"
	for name, stage := range map[string]Stage{"exec": AtExec, "after exec": AfterExec} {
		t.Run(name, func(t *testing.T) {
			os.Remove(marker)
			s, cfg := start(t, Options{Faults: always(Faults{Silent: stage})})
			c := dial(t, s, cfg)
			sess := open(t, c)
			hangs(t, func() error { return sess.Run("echo x; touch " + marker) }, func() { c.Close() })
			within(t, "close", s.Close)
			if _, err := os.Stat(marker); (err == nil) != (stage == AfterExec) {
				t.Errorf("command ran: %v", err == nil)
			}
		})
	}
}

func TestFreeze(t *testing.T) {
	s, cfg := start(t, Options{})
	c := dial(t, s, cfg)
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Fatal(err)
	}
	s.Freeze()
	hangs(t, func() error { _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); return err }, func() { c.Close() })
}

func TestCut(t *testing.T) {
	t.Run("after bytes written", func(t *testing.T) {
		for _, n := range []int64{1, 15, 16, 700} {
			s, _ := start(t, Options{Faults: always(Faults{CutAfterWritten: n})})
			tcp, err := net.Dial("tcp", s.Addr())
			for errors.Is(err, syscall.ECONNRESET) { // the cut came before connect returned
				tcp, err = net.Dial("tcp", s.Addr())
			}
			if err != nil {
				t.Fatal(err)
			}
			// Linux tells of a reset once, so a cut that comes before the client has greeted is told to its write.
			_, written := io.WriteString(tcp, "SSH-2.0-test\r\n")
			got, read := io.ReadAll(tcp)
			tcp.Close()
			if int64(len(got)) != n || !errors.Is(errors.Join(written, read), syscall.ECONNRESET) {
				t.Errorf("limit %d: read %d bytes, %v, %v", n, len(got), written, read)
			}
		}
	})
	t.Run("sweep of an exchange", func(t *testing.T) {
		// How much is sent varies with padding; the middle of it always is.
		s, cfg := start(t, Options{})
		if err := open(t, dial(t, s, cfg)).Run("true"); err != nil {
			t.Fatal(err)
		}
		total := s.Stats()
		if total.Read < 1000 || total.Written < 1000 {
			t.Fatalf("stats: %+v", total)
		}
		for i := range int64(8) {
			for _, f := range []Faults{{CutAfterRead: 1 + total.Read*i/10}, {CutAfterWritten: 1 + total.Written*i/10}} {
				s, cfg := start(t, Options{Faults: always(f)})
				err := within(t, "exchange", func() error {
					c, err := ssh.Dial("tcp", s.Addr(), cfg)
					if err != nil {
						return err
					}
					defer c.Close()
					sess, err := c.NewSession()
					if err != nil {
						return err
					}
					return sess.Run("true")
				})
				if err == nil {
					t.Errorf("%+v: the exchange went well", f)
				}
			}
		}
	})
	t.Run("second connection is well", func(t *testing.T) {
		s, cfg := start(t, Options{Faults: func(n int) Faults {
			if n == 0 {
				return Faults{CutAfterRead: 30}
			}
			return Faults{}
		}})
		if c, err := ssh.Dial("tcp", s.Addr(), cfg); err == nil {
			c.Close()
			t.Fatal("the first connection got through")
		}
		if err := open(t, dial(t, s, cfg)).Run("true"); err != nil {
			t.Error(err)
		}
	})
	t.Run("in the middle of a command", func(t *testing.T) {
		s, cfg := start(t, Options{})
		sess := open(t, dial(t, s, cfg))
		pid, _ := running(t, sess, "sleep 1000")
		s.Cut()
		var missing *ssh.ExitMissingError
		if err := within(t, "wait", sess.Wait); !errors.As(err, &missing) {
			t.Errorf("wait: %v", err)
		}
		if !alive(pid) {
			t.Error("a lost connection killed the command; sshd would not have")
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Run("channel", func(t *testing.T) {
		s, cfg := start(t, Options{Faults: always(Faults{RefuseChannel: func(kind string) error {
			return errors.New("no " + kind + " today")
		}})})
		if _, err := dial(t, s, cfg).NewSession(); err == nil || !strings.Contains(err.Error(), "no session today") {
			t.Error(err)
		}
	})
	t.Run("exec", func(t *testing.T) {
		s, cfg := start(t, Options{Faults: always(Faults{RefuseExec: true})})
		if err := open(t, dial(t, s, cfg)).Run("true"); err == nil {
			t.Error("exec was granted")
		}
	})
	t.Run("account with a banner", func(t *testing.T) {
		s, cfg := start(t, Options{Faults: always(Faults{Denied: "Your account has expired."})})
		var banner string
		cfg.BannerCallback = func(m string) error { banner += m; return nil }
		if _, err := ssh.Dial("tcp", s.Addr(), cfg); err == nil || banner != "Your account has expired." {
			t.Errorf("banner %q, %v", banner, err)
		}
	})
	t.Run("nologin", func(t *testing.T) {
		s, cfg := start(t, Options{Faults: always(Faults{NoLogin: "This account is currently not available."})})
		sess := open(t, dial(t, s, cfg))
		var out bytes.Buffer
		sess.Stdout = &out
		var exit *ssh.ExitError
		if err := sess.Run("true"); !errors.As(err, &exit) || exit.ExitStatus() != 1 || !strings.Contains(out.String(), "not available") {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
	t.Run("no exit status", func(t *testing.T) {
		s, cfg := start(t, Options{Faults: always(Faults{NoExitStatus: func() bool { return true }})})
		var missing *ssh.ExitMissingError
		if err := open(t, dial(t, s, cfg)).Run("true"); !errors.As(err, &missing) {
			t.Error(err)
		}
	})
	t.Run("before exec", func(t *testing.T) {
		seen := make(chan string, 1)
		s, cfg := start(t, Options{Faults: always(Faults{BeforeExec: func(c string) { seen <- c }})})
		if err := open(t, dial(t, s, cfg)).Run("true"); err != nil || <-seen != "true" {
			t.Error(err)
		}
	})
}
