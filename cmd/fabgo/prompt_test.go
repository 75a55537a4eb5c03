//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"fabgo/internal/sshd"
)

// pty is a terminal: what is written to the master is typed, what is read from it is on the screen.
type pty struct {
	master, slave *os.File
	screen        *watched
}

func (w *world) pty() *pty {
	w.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	w.must(err)
	w.must(unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	w.must(err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	w.must(err)
	p := &pty{master: master, slave: slave, screen: newWatched()}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if n > 0 {
				_, _ = p.screen.Write(b[:n])
			}
			if err != nil { // EIO: the last slave was closed
				return
			}
		}
	}()
	w.t.Cleanup(func() {
		slave.Close()
		<-read
		master.Close()
	})
	return p
}

// run starts fabgo with this controlling terminal; its outputs go elsewhere.
func (y *pty) run(w *world, args ...string) *process {
	w.t.Helper()
	p := &process{w: w, cmd: w.command(args...), stdout: newWatched(), stderr: newWatched(), done: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = y.slave, p.stdout, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	p.run()
	return p
}

func (y *pty) types(w *world, text string) {
	w.t.Helper()
	_, err := y.master.WriteString(text)
	w.must(err)
}

// echoes reports whether the terminal shows what is typed.
func (y *pty) echoes(w *world) bool {
	w.t.Helper()
	t, err := unix.IoctlGetTermios(int(y.slave.Fd()), unix.TCGETS)
	w.must(err)
	return t.Lflag&unix.ECHO != 0
}

const noteBundle = "def main():\n    note(\"here I am\")\n"

// TestPromptHostKeys: unknown keys of many hosts are asked for one at a time (F13).
func TestPromptHostKeys(t *testing.T) {
	const hosts = 20
	w := newWorld(t)
	w.file("web1.star", noteBundle)
	w.server("far", false, sshd.Options{AuthorizedKeys: []ssh.PublicKey{w.key}})
	args := []string{"plan", "web1.star"}
	for i := range hosts {
		name := fmt.Sprintf("h%d", i)
		w.must(add(filepath.Join(w.home, ".ssh", "config"), fmt.Sprintf("Host %s\n  HostKeyAlias %s\n", name, name)))
		args = append(args, "-H", name)
	}
	config, err := os.ReadFile(filepath.Join(w.home, ".ssh", "config"))
	w.must(err)
	w.must(os.WriteFile(filepath.Join(w.home, ".ssh", "config"), []byte(strings.Replace(string(config), "Host far\n", "Host far h*\n", 1)), 0o600))
	y := w.pty()
	p := y.run(w, args...)
	for i := range hosts {
		w.must(y.screen.says("[yes/no] ", i+1))
		if n := strings.Count(y.screen.String(), "[yes/no] "); n != i+1 {
			t.Fatalf("%d questions at once:\n%s", n-i, y.screen)
		}
		answer := "yes\n"
		if i == hosts-1 {
			answer = "no\n"
		}
		y.types(w, answer)
	}
	p.exits(exitUnreachable)
	if n := strings.Count(y.screen.String(), "SHA256:"); n != hosts {
		t.Errorf("%d fingerprints were shown:\n%s", n, y.screen)
	}
	if n := strings.Count(p.stdout.String(), "here I am"); n != hosts-1 {
		t.Errorf("%d hosts were planned:\n%s", n, p.stdout)
	}
	b, err := os.ReadFile(filepath.Join(w.home, ".ssh", "known_hosts"))
	w.must(err)
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) != hosts-1 {
		t.Errorf("known_hosts has %d lines", len(lines))
	}
	for rest := b; len(rest) > 0; {
		_, _, _, _, rest, err = ssh.ParseKnownHosts(rest)
		w.must(err)
	}
}

// passwords is a server that lets in with a password only.
func passwords() sshd.Options {
	return sshd.Options{Password: func(_, password string) bool { return password == "opensesame" }}
}

// TestPromptPassword: a password is typed unseen, and is nowhere afterwards.
func TestPromptPassword(t *testing.T) {
	w := newWorld(t)
	w.file("web1.star", noteBundle)
	w.server("web1", true, passwords())
	y := w.pty()
	p := y.run(w, "run", "-v", "web1.star")
	w.must(y.screen.says("Password of ", 1))
	if y.echoes(w) {
		t.Error("the terminal echoes while a password is typed")
	}
	y.types(w, "opensesame\n")
	p.exits(exitOK)
	if !y.echoes(w) {
		t.Error("the terminal stays without echo")
	}
	for _, s := range []string{y.screen.String(), p.stdout.String(), p.stderr.String()} {
		if strings.Contains(s, "opensesame") {
			t.Errorf("the password is shown:\n%s", s)
		}
	}
	w.must(filepath.WalkDir(filepath.Join(w.dir, "state"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), "opensesame") {
			t.Errorf("%s holds the password", path)
		}
		return err
	}))
}

// TestPromptInterrupted: Ctrl-C at a question ends the run and leaves the terminal as it was (F63).
func TestPromptInterrupted(t *testing.T) {
	w := newWorld(t)
	w.file("web1.star", noteBundle)
	w.server("web1", true, passwords())
	w.server("web2", false, passwords())
	for host, question := range map[string]string{"web1": "Password of ", "web2": "[yes/no] "} {
		y := w.pty()
		p := y.run(w, "run", "-H", host, "web1.star")
		w.must(y.screen.says(question, 1))
		y.types(w, "\x03")
		p.exits(exitInterrupted)
		if !y.echoes(w) {
			t.Errorf("%s: the terminal stays without echo", host)
		}
		if out := p.stdout.String(); !strings.Contains(out, "interrupted") {
			t.Errorf("%s: the interrupt is not told:\n%s", host, out)
		}
	}
}

// TestPromptPassphrase: the passphrase of a key is asked for once for all hosts; without a terminal the error says what to do.
func TestPromptPassphrase(t *testing.T) {
	w := newWorld(t)
	w.file("web1.star", noteBundle)
	key := filepath.Join(w.home, ".ssh", "id_ed25519")
	w.must(os.Remove(key))
	pub, err := writeKey(key, "correct horse")
	w.must(err)
	args := []string{"run", "web1.star"}
	for i := range 5 {
		name := fmt.Sprintf("h%d", i)
		w.server(name, true, sshd.Options{AuthorizedKeys: []ssh.PublicKey{pub}})
		args = append(args, "-H", name)
	}
	y := w.pty()
	p := y.run(w, args...)
	w.must(y.screen.says("Passphrase of ", 1))
	y.types(w, "correct horse\n")
	p.exits(exitOK)
	if n := strings.Count(y.screen.String(), "Passphrase of "); n != 1 {
		t.Errorf("it was asked for %d times:\n%s", n, y.screen)
	}
	if !y.echoes(w) {
		t.Error("the terminal stays without echo")
	}

	alone := &process{w: w, cmd: w.command(args...), stdout: newWatched(), stderr: newWatched(), done: make(chan struct{})}
	alone.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	alone.cmd.Stdout, alone.cmd.Stderr = alone.stdout, alone.stderr
	alone.run()
	alone.exits(exitUnreachable)
	if out := alone.stdout.String(); !strings.Contains(out, "ssh-agent") {
		t.Errorf("no word on what to do without a terminal:\n%s", out)
	}
}

// TestPromptSudo: the password of sudo is asked for once, whoever wants it first.
func TestPromptSudo(t *testing.T) {
	w := newWorld(t)
	y := w.pty()
	p := &prompter{tty: &terminal{in: y.slave, out: y.slave}, aside: func(f func()) { f() }}
	var wg sync.WaitGroup
	got := make([]string, 8)
	for i := range got {
		wg.Go(func() {
			b, err := p.sudoPassword(context.Background())
			got[i] = fmt.Sprint(string(b), err)
		})
	}
	w.must(y.screen.says("sudo password: ", 1))
	y.types(w, "please\n")
	wg.Wait()
	for _, s := range got {
		if s != "please<nil>" {
			t.Errorf("got %q", s)
		}
	}
	if n := strings.Count(y.screen.String(), "sudo password"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if _, err := (*prompter)(nil).sudoPassword(context.Background()); err == nil || !strings.Contains(err.Error(), "no terminal") {
		t.Errorf("without a terminal: %v", err)
	}
}
