//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"fabgo/internal/helper"
	"fabgo/internal/sshd"
)

// patience bounds what a test waits for. It is never waited out where fabgo works.
const patience = 2 * time.Minute

// world is a home, a state folder and a place for bundles.
type world struct {
	t         *testing.T
	dir, home string
	key       ssh.PublicKey
	far       bool   // its hosts are machines with folders of their own, not this one
	bin       string // fabgo; the binary of the tests when empty
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.home = filepath.Join(w.dir, "home")
	var err error
	w.key, err = writeKey(filepath.Join(w.home, ".ssh", "id_ed25519"), "")
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// server starts an SSH server of this machine under a name of the world's ssh_config.
func (w *world) server(name string, known bool, o sshd.Options) *sshd.Server {
	w.t.Helper()
	o.Dir = w.dir
	state, err := hostState(filepath.Join(w.dir, "host-"+name))
	w.must(err)
	o.Env = append(o.Env, state)
	s, err := sshd.Start(o)
	w.must(err)
	w.t.Cleanup(func() { s.Close() })
	w.must(configure(w.home, name, s, known))
	return s
}

func (w *world) file(name, text string) string {
	w.t.Helper()
	p := filepath.Join(w.dir, name)
	w.must(os.WriteFile(p, []byte(text), 0o644))
	return p
}

// fifo makes a named pipe: how commands of a bundle and the test wait for each other.
func (w *world) fifo(name string) string {
	w.t.Helper()
	p := filepath.Join(w.dir, name)
	w.must(unix.Mkfifo(p, 0o600))
	return p
}

func (w *world) command(args ...string) *exec.Cmd {
	bin := w.bin
	if bin == "" {
		var err error
		bin, err = os.Executable()
		w.must(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Args[0] = "fabgo"
	cmd.Dir = w.dir
	cmd.Env = []string{"HOME=" + w.home, "XDG_STATE_HOME=" + filepath.Join(w.dir, "state"), "PATH=" + os.Getenv("PATH"), "TERM=dumb"}
	if !w.far {
		cmd.Env = append(cmd.Env, helper.StateEnv+"="+filepath.Join(w.dir, "host-local"))
	}
	if d := os.Getenv("GOCOVERDIR"); d != "" {
		cmd.Env = append(cmd.Env, "GOCOVERDIR="+d)
	}
	return cmd
}

// process is a running fabgo.
type process struct {
	w              *world
	cmd            *exec.Cmd
	stdout, stderr *watched
	done           chan struct{}
}

func (w *world) start(args ...string) *process {
	w.t.Helper()
	p := &process{w: w, cmd: w.command(args...), stdout: newWatched(), stderr: newWatched(), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.run()
	return p
}

func (p *process) run() {
	p.w.t.Helper()
	p.w.must(p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	p.w.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
}

func (p *process) signal(s os.Signal) {
	p.w.t.Helper()
	p.w.must(p.cmd.Process.Signal(s))
}

// exits waits for the end and compares the exit code.
func (p *process) exits(code int) {
	p.w.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // for what its goroutines wait
		select {
		case <-p.done:
		case <-time.After(patience):
		}
		p.w.t.Fatalf("fabgo does not end\n%s%s", p.stdout, p.stderr)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.w.t.Fatalf("exit code %d (%s), want %d\n%s%s", got, p.cmd.ProcessState, code, p.stdout, p.stderr)
	}
}

// output is what fabgo prints with these arguments, when all goes well.
func (w *world) output(args ...string) string {
	w.t.Helper()
	p := w.start(args...)
	p.exits(0)
	return p.stdout.String()
}

// within calls f, which may block on the other side of a pipe.
func (w *world) within(what string, f func() error) {
	w.t.Helper()
	ch := make(chan error, 1)
	go func() { ch <- f() }()
	select {
	case err := <-ch:
		if err != nil {
			w.t.Fatalf("%s: %v", what, err)
		}
	case <-time.After(patience):
		w.t.Fatalf("%s: nothing happens", what)
	}
}

// hears opens a pipe and waits for its first line. The reader then ends when every process that holds the pipe has.
func (w *world) hears(fifo string) (rest io.Reader) {
	w.t.Helper()
	w.within("wait for the command of the bundle", func() error {
		f, err := os.Open(fifo)
		if err != nil {
			return err
		}
		w.t.Cleanup(func() { f.Close() })
		rest = f
		_, err = readLine(f)
		return err
	})
	return rest
}

// gone waits until no process holds the pipe any more.
func (w *world) gone(rest io.Reader) {
	w.t.Helper()
	w.within("wait for the command's death", func() error { _, err := io.Copy(io.Discard, rest); return err })
}

// watched is a buffer that can be waited for.
type watched struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{} // closed and replaced when there is more
}

func newWatched() *watched { return &watched{more: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(p)
	close(w.more)
	w.more = make(chan struct{})
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// says waits until the text holds something n times.
func (w *watched) says(text string, n int) error {
	limit := time.After(patience)
	for {
		w.mu.Lock()
		got, more := w.b.String(), w.more
		w.mu.Unlock()
		if strings.Count(got, text) >= n {
			return nil
		}
		select {
		case <-more:
		case <-limit:
			return fmt.Errorf("%q was not said %d times:\n%s", text, n, got)
		}
	}
}
