//go:build unix

package beside

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"fabgo/internal/helper"
	"fabgo/transport/wire"
)

// TestMain lets the test binary be the helper.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == helper.Command {
		if err := helper.Main(helper.Env{Stdin: os.Stdin, Stdout: os.Stdout, Version: "test"}, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// place is an account of its own: a home, a folder of tools that are all of PATH, and how its shell is called.
type place struct {
	t       *testing.T
	home    string
	tools   string
	before  string // in front of each script
	distort func([]byte) []byte

	mu      sync.Mutex
	scripts []string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, home: t.TempDir(), tools: t.TempDir()}
	for _, tool := range []string{"sh", "id", "uname", "mkdir", "chmod", "rm", "mv", "ls", "cat", "find", "df", "gzip", "sha256sum"} {
		p.has(tool)
	}
	return p
}

func (p *place) has(tool string) {
	p.t.Helper()
	file, err := exec.LookPath(tool)
	if err != nil {
		p.t.Skipf("there is no %s here", tool)
	}
	if err := os.Symlink(file, filepath.Join(p.tools, tool)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) lacks(tool string) {
	p.t.Helper()
	if err := os.Remove(filepath.Join(p.tools, tool)); err != nil {
		p.t.Fatal(err)
	}
}

// instead makes a tool a script.
func (p *place) instead(tool, script string) {
	p.t.Helper()
	p.lacks(tool)
	if err := os.WriteFile(filepath.Join(p.tools, tool), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

// at is one of the places for helpers, by its number.
func (p *place) at(n int) string {
	return []string{filepath.Join(p.home, ".cache/fabgo"), filepath.Join(p.home, ".local/lib/fabgo"), filepath.Join(p.home, "run/fabgo")}[n]
}

func (p *place) make(dir string) {
	p.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) list(dir string) []string {
	es, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Name())
	}
	return out
}

// Start implements Far.
func (p *place) Start(_ context.Context, script string) (Stream, error) {
	p.mu.Lock()
	p.scripts = append(p.scripts, script)
	p.mu.Unlock()
	cmd := exec.Command("/bin/sh", "-c", p.before+script)
	cmd.Env = []string{"PATH=" + p.tools, "HOME=" + p.home, "XDG_RUNTIME_DIR=" + filepath.Join(p.home, "run"), "LC_ALL=C"}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s := &piped{WriteCloser: in, Reader: out, cmd: cmd}
	if strings.HasPrefix(script, "umask") {
		s.distort = p.distort
	}
	cmd.Stderr = &s.stderr
	return s, cmd.Start()
}

type piped struct {
	io.WriteCloser
	io.Reader
	cmd     *exec.Cmd
	stderr  bytes.Buffer
	distort func([]byte) []byte
	once    sync.Once
	err     error
}

func (s *piped) Write(b []byte) (int, error) {
	if s.distort != nil {
		if _, err := s.WriteCloser.Write(s.distort(b)); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	return s.WriteCloser.Write(b)
}
func (s *piped) Flush()            {}
func (s *piped) CloseWrite() error { return s.WriteCloser.Close() }
func (s *piped) Close() error      { s.WriteCloser.Close(); return nil }
func (s *piped) Wait() error {
	s.once.Do(func() {
		if s.err = s.cmd.Wait(); s.err != nil {
			s.err = fmt.Errorf("%w: %s", s.err, &s.stderr)
		}
	})
	return s.err
}

// small is a helper of a few bytes: a script that calls the test binary.
func small(t *testing.T) *Binaries {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Binaries{Self: script(t, "exec "+quote(self)+` "$@"`)}
}

func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "helper")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// starts starts a helper that answers ops, once.
func (p *place) starts(b *Binaries) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	s := &starter{far: p, binaries: b}
	c, err := s.start(ctx, helper.ModeOps, "", wire.Options{}, func(*wire.Conn) error { return nil })
	if err != nil {
		return err
	}
	c.Close()
	return s.stream.Wait()
}

// unable checks that no helper can be had, and why, and that nothing of it is left.
func (p *place) unable(b *Binaries, says ...string) {
	p.t.Helper()
	err := p.starts(b)
	u, ok := errors.AsType[*Unable](err)
	if !ok {
		p.t.Fatalf("%v, want an *Unable", err)
	}
	for _, say := range says {
		if !strings.Contains(u.Why, say) {
			p.t.Errorf("it does not say %q: %s", say, u.Why)
		}
	}
	if strings.Contains(u.Why, "\n") {
		p.t.Errorf("it says more than a line: %q", u.Why)
	}
	for n := range 3 {
		if left := p.list(p.at(n)); len(left) > 0 {
			p.t.Errorf("%s is left in %s", left, p.at(n))
		}
	}
}

func (p *place) able(b *Binaries, at int) {
	p.t.Helper()
	if err := p.starts(b); err != nil {
		p.t.Fatal(err)
	}
	own, err := b.own()
	if err != nil {
		p.t.Fatal(err)
	}
	if got := p.list(p.at(at)); len(got) != 1 || got[0] != own.name() {
		p.t.Errorf("%s holds %s", p.at(at), got)
	}
}

// TestBroughtOnce: what is there already is not brought again.
func TestBroughtOnce(t *testing.T) {
	p, b := newPlace(t), small(t)
	p.able(b, 0)
	if st, err := os.Stat(p.at(0)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", st.Mode(), err)
	}
	own, _ := b.own()
	st, err := os.Stat(filepath.Join(p.at(0), own.name()))
	if err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("the helper: %v, %v", st, err)
	}
	if n := len(p.scripts); n != 3 {
		t.Errorf("it took %d scripts", n)
	}
	p.able(b, 0)
	if n := len(p.scripts); n != 4 {
		t.Errorf("the second time took %d scripts", n-3)
	}
}

// TestDamagedOnTheWay: what does not have its digest is never executed.
func TestDamagedOnTheWay(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		p := newPlace(t)
		p.distort = func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }
		p.unable(small(t), "bring the helper there")
	})
	t.Run("another program", func(t *testing.T) {
		p := newPlace(t)
		evil := small(t)
		other, err := (&Binaries{Self: script(t, "touch "+quote(filepath.Join(p.home, "executed")))}).own()
		if err != nil {
			t.Fatal(err)
		}
		packed, err := other.pack()
		if err != nil {
			t.Fatal(err)
		}
		p.distort = func([]byte) []byte { return packed }
		p.unable(evil, "arrived damaged", other.digest)
		if _, err := os.Stat(filepath.Join(p.home, "executed")); err == nil {
			t.Error("it was executed")
		}
	})
	t.Run("cut short", func(t *testing.T) {
		p := newPlace(t)
		p.distort = func(b []byte) []byte { return b[:len(b)/2] }
		p.unable(small(t), "bring the helper there")
	})
	t.Run("changed here", func(t *testing.T) {
		p, b := newPlace(t), small(t)
		if _, err := b.own(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.Self, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		p.unable(b, "changed while it was read")
	})
}

// TestPlaces: a folder in which a helper would not be safe, or not run, is passed by.
func TestPlaces(t *testing.T) {
	impostor := func(p *place, b *Binaries, dir string) {
		own, err := b.own()
		if err != nil {
			p.t.Fatal(err)
		}
		p.make(dir)
		evil := "#!/bin/sh\ntouch " + quote(filepath.Join(p.home, "executed")) + "\n"
		if err := os.WriteFile(filepath.Join(dir, own.name()), []byte(evil), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	innocent := func(t *testing.T, p *place) {
		if _, err := os.Stat(filepath.Join(p.home, "executed")); err == nil {
			t.Error("what somebody else put there was executed")
		}
	}
	t.Run("a link", func(t *testing.T) {
		p, b := newPlace(t), small(t)
		elsewhere := t.TempDir() // the acting user's, as /tmp is root's
		impostor(p, b, elsewhere)
		p.make(filepath.Dir(p.at(0)))
		if err := os.Symlink(elsewhere, p.at(0)); err != nil {
			t.Fatal(err)
		}
		p.able(b, 1)
		innocent(t, p)
	})
	t.Run("somebody else's", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root gives a folder away")
		}
		p, b := newPlace(t), small(t)
		impostor(p, b, p.at(0))
		if err := os.Chown(p.at(0), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		p.able(b, 1)
		innocent(t, p)
	})
	t.Run("a file", func(t *testing.T) {
		p := newPlace(t)
		p.make(filepath.Dir(p.at(0)))
		if err := os.WriteFile(p.at(0), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p.able(small(t), 1)
	})
	t.Run("full", func(t *testing.T) {
		p := newPlace(t)
		p.instead("df", `case $2 in */.cache/*) echo "F 1024-blocks U A C M"; echo "/dev/x 10 9 1 90% /x";; *) exec /bin/df "$@";; esac`)
		p.able(small(t), 1)
	})
	t.Run("full while it comes", func(t *testing.T) {
		p := newPlace(t)
		b := &Binaries{Self: script(t, "#"+strings.Repeat("x", 1<<20))}
		p.before = "ulimit -f 8\n"
		p.unable(b, "could not be unpacked")
	})
}

// TestMissingTools: a host that cannot unpack or verify says so (F31).
func TestMissingTools(t *testing.T) {
	t.Run("gzip", func(t *testing.T) {
		p := newPlace(t)
		p.lacks("gzip")
		p.unable(small(t), "there is no gzip")
	})
	t.Run("sha256sum", func(t *testing.T) {
		p := newPlace(t)
		p.lacks("sha256sum")
		p.unable(small(t), "SHA-256")
	})
	t.Run("openssl instead", func(t *testing.T) {
		p := newPlace(t)
		p.has("openssl")
		p.lacks("sha256sum")
		p.able(small(t), 0)
	})
	t.Run("no df", func(t *testing.T) {
		p := newPlace(t)
		p.lacks("df")
		p.able(small(t), 0)
	})
}

// TestOldVersionsSwept: the three latest stay, and nothing of uploads that were cut off.
func TestOldVersionsSwept(t *testing.T) {
	p, b := newPlace(t), small(t)
	p.make(p.at(0))
	for n := range 6 {
		file := filepath.Join(p.at(0), fmt.Sprintf("fabgo-%d", n))
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Duration(10-n) * time.Hour)
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
	}
	for name, age := range map[string]time.Duration{".fabgo-cut.1": 2 * time.Hour, ".fabgo-coming.2": time.Minute} {
		file := filepath.Join(p.at(0), name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Now(), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.starts(b); err != nil {
		t.Fatal(err)
	}
	own, _ := b.own()
	if got := strings.Join(p.list(p.at(0)), " "); got != ".fabgo-coming.2 fabgo-4 fabgo-5 "+own.name() && got != ".fabgo-coming.2 "+own.name()+" fabgo-4 fabgo-5" {
		t.Errorf("left are %s", got)
	}
}

// TestHelperOfPlatform: the helper is that of the host's platform, or it is said which is missing and where it was looked for (F35).
func TestHelperOfPlatform(t *testing.T) {
	t.Run("unknown", func(t *testing.T) {
		p := newPlace(t)
		p.instead("uname", `case $1 in -s) echo Linux;; *) echo s390x;; esac`)
		b := small(t)
		b.Dirs = []string{"/nowhere/helpers"}
		p.unable(b, "no helper for linux/s390x", "fabgo-linux-s390x", "/nowhere/helpers")
	})
	t.Run("of another", func(t *testing.T) { // what is no program for the host is found out here
		p := newPlace(t)
		p.instead("uname", `case $1 in -s) echo Linux;; *) echo s390x;; esac`)
		dir := t.TempDir()
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := elf.Open(self); err != nil || runtime.GOARCH == "s390x" {
			t.Skip("this machine's programs are others")
		}
		if err := os.Symlink(self, filepath.Join(dir, "fabgo-linux-s390x")); err != nil {
			t.Fatal(err)
		}
		b := small(t)
		b.Dirs = []string{dir}
		p.unable(b, "no program for linux/s390x")
	})
	t.Run("does not start", func(t *testing.T) {
		p := newPlace(t)
		err := p.starts(&Binaries{Self: script(t, "echo noise; echo killed by policy >&2; exit 126")})
		if u, ok := errors.AsType[*Unable](err); !ok || !strings.Contains(u.Why, "did not start") || !strings.Contains(u.Why, "killed by policy") {
			t.Errorf("%v", err)
		}
	})
}
