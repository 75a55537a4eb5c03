package ssh

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fabgo/internal/machines/lag"
	"fabgo/internal/sshd"
	"fabgo/transport"
)

// begin starts a script; the stream is closed with the test.
func begin(t testing.TB, h *Host, script string) *Stream {
	t.Helper()
	s, err := h.Start(t.Context(), script)
	if err != nil {
		t.Fatalf("Start: %s", explain(err))
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// whole reads a stream to its end.
func whole(t testing.TB, s *Stream) (string, Exit) {
	t.Helper()
	b, err := io.ReadAll(s)
	if err != nil {
		t.Fatalf("after %q: %s", b, explain(err))
	}
	exit, err := s.Wait(t.Context())
	if err != nil {
		t.Fatal(explain(err))
	}
	return string(b), exit
}

func lazily(f *far) *far { f.opts.Lazy = true; return f }

func TestStream(t *testing.T) {
	f := lazily(serve(t, sshd.Options{}))
	h := f.dial(t)
	s := begin(t, h, `echo "it's $0 $LC_ALL"; printf '%s\n' 'words \n' >&2; cat; exit 7`)
	if _, err := s.Write([]byte("in\x00\xff")); err != nil {
		t.Fatal(err)
	}
	s.CloseWrite()
	if _, err := s.Write([]byte("more")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a write behind the end: %v", err)
	}
	out, exit := whole(t, s)
	if out != "it's /bin/sh C\nin\x00\xff" || exit != (Exit{Code: 7}) || s.Stderr() != "words \\n\n" {
		t.Errorf("%q, %+v, %q", out, exit, s.Stderr())
	}
	if st := f.Stats(); len(st.Commands) != 1 || st.Sessions != 1 {
		t.Errorf("%d channels, %d requests", st.Sessions, len(st.Commands))
	}
	if _, err := s.Write([]byte("late")); err == nil {
		t.Error("a write to a program that ended")
	}
	if _, exit := whole(t, begin(t, h, "kill -9 $$")); exit != (Exit{Code: 137, Signal: "KILL"}) {
		t.Errorf("%+v", exit)
	}
	if out, exit := whole(t, begin(t, h, "exit 3")); out != "" || exit.Code != 3 {
		t.Errorf("%q, %+v", out, exit)
	}
	long := begin(t, h, strings.Repeat("# it's\n", longestCommand/4)+"cat") // does not fit a command line
	long.Write([]byte("behind it"))
	long.CloseWrite()
	if out, _ := whole(t, long); out != "behind it" {
		t.Errorf("%q", out)
	}
	run(t, h, argv("true")) // now somebody wants to know about the account
}

// Whoever connects for one program pays for nothing else: the channel, then the program, whose input travels with the request.
func TestStreamTakesTwoRoundTrips(t *testing.T) {
	const rtt = 300 * time.Millisecond
	f := lazily(serve(t, sshd.Options{}))
	line, err := lag.Listen("127.0.0.1:0", f.Addr(), rtt)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	f.know(t, line.Addr(), f.HostKey())
	h, err := Dial(t.Context(), "root@"+line.Addr(), f.opts)
	if err != nil {
		t.Fatal(explain(err))
	}
	defer h.Close()
	best := time.Hour
	for range 3 { // what a busy machine adds differs, what the line takes does not
		start := time.Now()
		s := begin(t, h, "cat")
		s.Write([]byte("hello\n"))
		if line, err := bufio.NewReader(s).ReadString('\n'); line != "hello\n" {
			t.Fatalf("%q, %v", line, err)
		}
		best = min(best, time.Since(start))
		s.Close()
	}
	if trips := float64(best) / float64(rtt); trips < 1.9 || trips > 2.7 {
		t.Errorf("%.1f round trips", trips)
	}
}

func TestStreamOutput(t *testing.T) {
	h := lazily(serve(t, sshd.Options{})).dial(t)
	s := begin(t, h, "head -c 1000000 /dev/zero; echo end >&2; yes | head -c 100000 >&2")
	exit, err := s.Wait(t.Context()) // before anybody reads
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v", exit, err)
	}
	if out, _ := whole(t, s); len(out) != 1000000 {
		t.Errorf("%d bytes", len(out))
	}
	if n := len(s.Stderr()); n > stderrKept+3 {
		t.Errorf("%d bytes of standard error", n)
	}
}

func TestStreamBothWays(t *testing.T) {
	for name, f := range map[string]*far{"sshd": serve(t, sshd.Options{}), "OpenSSH": nil} {
		t.Run(name, func(t *testing.T) {
			if f == nil {
				f = openssh(t, "root", "")
			}
			s := begin(t, lazily(f).dial(t), "cat")
			const size = 64 << 20
			sum := sha256.New()
			var wg sync.WaitGroup
			wg.Go(func() {
				block := make([]byte, 100_003)
				for left := size; left > 0; left -= len(block) {
					block = block[:min(len(block), left)]
					copy(block, strconv.Itoa(left))
					sum.Write(block)
					if _, err := s.Write(block); err != nil {
						t.Error(err)
						return
					}
				}
				s.CloseWrite()
			})
			got := sha256.New()
			n, err := io.Copy(got, onlyReader{s})
			wg.Wait()
			if n != size || err != nil || !bytes.Equal(sum.Sum(nil), got.Sum(nil)) {
				t.Errorf("%d bytes came back, or others: %v", n, err)
			}
		})
	}
}

func TestStreamEnds(t *testing.T) {
	f := lazily(serve(t, sshd.Options{}))
	h := f.dial(t)
	read := func(s *Stream, want string) {
		t.Helper()
		b := make([]byte, len(want))
		if _, err := io.ReadFull(s, b); err != nil || string(b) != want {
			t.Fatalf("%q, %v", b, err)
		}
	}
	t.Run("closed", func(t *testing.T) {
		file := t.TempDir() + "/over"
		s := begin(t, h, "echo on; cat >/dev/null; : >"+shellWord(file))
		read(s, "on\n")
		within(t, 5*time.Second, func() { s.Close() })
		if _, err := s.Read(make([]byte, 1)); transport.KindOf(err) != transport.Interrupted {
			t.Errorf("read: %v", err)
		}
		if _, err := s.Wait(t.Context()); transport.KindOf(err) != transport.Interrupted {
			t.Errorf("wait: %v", err)
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // the program saw its input end
			if _, err := os.Stat(file); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the program goes on")
			}
		}
	})
	t.Run("closed under a writer", func(t *testing.T) {
		s := begin(t, h, "echo on; sleep 600")
		read(s, "on\n")
		wrote := make(chan error)
		go func() {
			_, err := io.Copy(s, zeros{})
			wrote <- err
		}()
		within(t, 10*time.Second, func() { s.Close(); <-wrote })
	})
	t.Run("the output only", func(t *testing.T) {
		h := lazily(openssh(t, "root", "")).dial(t) // ours tells the end of both outputs only
		s := begin(t, h, "echo on; exec >&- 2>&-; cat; exit 5")
		if b, err := io.ReadAll(s); err != nil || string(b) != "on\n" {
			t.Fatalf("%q, %v", b, err)
		}
		s.CloseWrite()
		if exit, err := s.Wait(t.Context()); err != nil || exit.Code != 5 {
			t.Errorf("%+v, %v", exit, err)
		}
	})
	t.Run("something is left behind", func(t *testing.T) {
		s := begin(t, h, "sleep 600 & echo $!; exit 4")
		out, exit := whole(t, s)
		if exit.Code != 4 {
			t.Errorf("%+v", exit)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(out))
		if err != nil {
			t.Fatal(err)
		}
		killProcess(t, pid)
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := h.Start(ctx, "cat")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		cancel()
		s.Write([]byte("still"))
		s.CloseWrite()
		if out, _ := whole(t, s); out != "still" {
			t.Errorf("%q", out)
		}
	})
	t.Run("reset", func(t *testing.T) { // F01
		s := begin(t, h, "echo on; cat")
		read(s, "on\n")
		f.Cut()
		_, err := s.Read(make([]byte, 1))
		wantKind(t, err, transport.Unreachable, "lost")
		_, err = s.Wait(t.Context())
		wantKind(t, err, transport.Unreachable, "lost")
		if out, _ := whole(t, begin(t, h, "echo anew")); out != "anew\n" {
			t.Errorf("%q", out)
		}
	})
	t.Run("this side", func(t *testing.T) {
		h := f.dial(t)
		s := begin(t, h, "echo on; cat")
		read(s, "on\n")
		h.Close()
		_, err := s.Wait(t.Context())
		wantKind(t, err, transport.Unreachable, "closed on this side")
		_, err = h.Start(t.Context(), "true")
		wantKind(t, err, transport.Unreachable, "closed on this side")
	})
	t.Run("frozen", func(t *testing.T) { // F03
		f.opts.KeepAlive = 100 * time.Millisecond
		h := f.dial(t)
		s := begin(t, h, "echo on; cat")
		read(s, "on\n")
		f.Freeze()
		within(t, 10*time.Second, func() {
			_, err := s.Read(make([]byte, 1))
			wantKind(t, err, transport.Unreachable, "silent")
		})
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestF17StreamNeedsOneChannel(t *testing.T) {
	f := lazily(serve(t, sshd.Options{MaxSessions: 1}))
	h := f.dial(t)
	for range 3 {
		s := begin(t, h, "cat")
		s.Write([]byte("x"))
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		within(t, 10*time.Second, func() { // it would wait for ever otherwise
			_, err := h.Do(t.Context(), argv("true"))
			wantKind(t, err, transport.Unreachable, "still run have them all")
		})
		s.Close()
	}
	run(t, h, argv("true"))
	s := begin(t, h, "echo after") // what the ops left open is given up for it
	if out, _ := whole(t, s); out != "after\n" {
		t.Errorf("%q", out)
	}
}

func TestStreamNoise(t *testing.T) {
	f := lazily(serve(t, sshd.Options{ForceCommand: `echo "Welcome <NONCE> of $HOME"; head -c 200000 /dev/zero; echo loud >&2; eval "$SSH_ORIGINAL_COMMAND"`}))
	s := begin(t, f.dial(t), "echo hello; cat; echo mine >&2")
	s.Write([]byte("input"))
	s.CloseWrite()
	if out, _ := whole(t, s); out != "hello\ninput" || s.Stderr() != "mine\n" {
		t.Errorf("%q, %q", out, s.Stderr())
	}
}

func TestF16StreamChecksTheKeyAgain(t *testing.T) {
	f := lazily(serve(t, sshd.Options{}))
	h := f.dial(t)
	whole(t, begin(t, h, "true"))
	other, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(f.opts.KnownHosts)
	f.know(t, f.Addr(), other.PublicKey())
	f.Cut()
	<-h.conn.dead
	_, err = h.Start(t.Context(), "true")
	wantKind(t, err, transport.HostKey)
}

func TestStreamDoesNotBegin(t *testing.T) {
	for name, tt := range map[string]struct {
		o    sshd.Options
		f    sshd.Faults
		kind transport.Kind
		says string
	}{
		"nologin":       {f: sshd.Faults{NoLogin: "This account is currently not available."}, kind: transport.Auth, says: "currently not available"}, // F23
		"no exec":       {f: sshd.Faults{RefuseExec: true}, kind: transport.Auth, says: "refuses to run commands"},
		"sftp only":     {o: sshd.Options{ForceCommand: "echo 'This service allows sftp connections only.'; exit 1"}, kind: transport.Auth, says: "sftp connections only"}, // F26
		"waits":         {o: sshd.Options{ForceCommand: "echo press enter; sleep 600"}, kind: transport.Timeout, says: "press enter"},
		"no answer":     {f: sshd.Faults{Silent: sshd.AtExec}, kind: transport.Unreachable, says: "no answer within 300ms"}, // F08
		"never a word":  {f: sshd.Faults{Silent: sshd.AfterExec}, kind: transport.Timeout, says: "did not begin"},
		"no channel":    {f: sshd.Faults{Silent: sshd.AtChannelOpen}, kind: transport.Unreachable, says: "open a channel"},
		"no exit":       {o: sshd.Options{ForceCommand: "exit 0"}, f: sshd.Faults{NoExitStatus: func() bool { return true }}, kind: transport.Unreachable, says: "without saying how"},
		"another shell": {o: sshd.Options{ForceCommand: "echo 'bash: /bin/sh: Permission denied' >&2; exit 126"}, kind: transport.Auth, says: "Permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.o.Faults = func(int) sshd.Faults { return tt.f }
			tt.o.KillOnClose = true
			f := lazily(serve(t, tt.o))
			f.opts.Timeouts.Channel, f.opts.Timeouts.Request = 300*time.Millisecond, 300*time.Millisecond
			f.opts.Timeouts.Auth = 2 * time.Second
			h := f.dial(t)
			within(t, 20*time.Second, func() {
				s, err := h.Start(t.Context(), "cat")
				if err == nil {
					defer s.Close()
					err = s.Ready(t.Context())
					if _, rerr := s.Read(make([]byte, 1)); rerr != err {
						t.Errorf("read: %v", rerr)
					}
					if _, werr := s.Wait(t.Context()); werr != err {
						t.Errorf("wait: %v", werr)
					}
				}
				wantKind(t, err, tt.kind, tt.says)
			})
		})
	}
}
