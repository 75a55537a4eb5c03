package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"fabgo/internal/sshd"
	"fabgo/transport"
)

func TestF01CutInMidCommand(t *testing.T) {
	f := serve(t, sshd.Options{})
	h := f.dial(t)
	mark := filepath.Join(t.TempDir(), "mark")
	cut := func(change bool) error {
		os.Remove(mark)
		go func() {
			for range 500 {
				if _, err := os.Stat(mark); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			f.Cut()
		}()
		// The first run waits to be cut; a second finds the mark and ends.
		_, err := h.Do(t.Context(), transport.Exec{Argv: transport.Texts("sh", "-c", `[ -e "$0" ] && exit 0; : >"$0"; sleep 20`, mark), Change: change})
		return err
	}
	err := cut(true)
	wantKind(t, err, transport.Lost)
	if err := cut(false); err != nil {
		t.Errorf("an observing command is asked again: %v", err)
	}
	run(t, h, argv("true"))
}

// TestF01CutAnywhere cuts a connection after every few bytes, in either direction: a change that was sent is lost or done, never sent
// again and never called failed; a command that only looks is asked again and always answers.
func TestF01CutAnywhere(t *testing.T) {
	dir := t.TempDir()
	change := func(mark string) transport.Exec {
		return transport.Exec{Argv: transport.Texts("sh", "-c", `echo x >>"$0"; echo done`, mark), Change: true}
	}
	healthy := serve(t, sshd.Options{})
	h := healthy.dial(t)
	before := healthy.Stats()
	run(t, h, change(filepath.Join(dir, "healthy")))
	after := healthy.Stats()
	for _, way := range []struct {
		name     string
		from, to int64
		cut      func(int64) sshd.Faults
	}{
		{"read", before.Read, after.Read, func(n int64) sshd.Faults { return sshd.Faults{CutAfterRead: n} }},
		{"written", before.Written, after.Written, func(n int64) sshd.Faults { return sshd.Faults{CutAfterWritten: n} }},
	} {
		t.Run(way.name, func(t *testing.T) {
			lost, done := 0, 0
			for n := way.from - 32; n < way.to+64; n += 24 {
				first := func(i int) sshd.Faults {
					if i == 0 {
						return way.cut(n)
					}
					return sshd.Faults{}
				}
				f := serve(t, sshd.Options{Faults: first})
				h, err := f.try(t)
				if err != nil {
					wantKind(t, err, transport.Unreachable)
					continue
				}
				mark := filepath.Join(dir, fmt.Sprint(way.name, n))
				out, err := transport.Do[transport.Output](t.Context(), h, change(mark))
				b, _ := os.ReadFile(mark)
				switch kind := transport.KindOf(err); {
				case err == nil && out.Stdout == "done\n" && string(b) == "x\n":
					done++
				case kind == transport.Lost && len(b) <= len("x\n"):
					lost++
				default:
					t.Errorf("cut after %d: %+v, %s; it ran: %q", n, out, explain(err), b)
				}
				f = serve(t, sshd.Options{Faults: first})
				if h, err = f.try(t); err != nil {
					continue
				}
				if out, err := transport.Do[transport.Output](t.Context(), h, argv("echo", "here")); err != nil || out.Stdout != "here\n" {
					t.Errorf("cut after %d: what only looks answers %+v, %s", n, out, explain(err))
				}
			}
			if lost == 0 || done == 0 {
				t.Errorf("%d were lost, %d done: the cuts missed the command", lost, done)
			}
		})
	}
}

func TestF02CutInMidUpload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	content := transport.String(strings.Repeat("new", 20_000))
	lost, done := 0, 0
	for cut := int64(2 << 10); cut < 72<<10; cut += 1 << 10 {
		if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		f := serve(t, sshd.Options{Faults: func(n int) sshd.Faults {
			if n == 0 {
				return sshd.Faults{CutAfterRead: cut}
			}
			return sshd.Faults{}
		}})
		h, err := f.try(t)
		if err != nil {
			continue // it was cut in the login
		}
		_, err = h.Do(t.Context(), transport.Write{Path: transport.Path(file), Content: content})
		b, _ := os.ReadFile(file)
		whole, _ := content.ReadAll(1 << 20)
		switch {
		case err == nil && string(b) == string(whole):
			done++
		case transport.KindOf(err) == transport.Lost && (string(b) == "old" || string(b) == string(whole)):
			lost++
		default:
			t.Errorf("cut after %d: %d bytes, %v", cut, len(b), err)
		}
	}
	if lost < 50 || done == 0 {
		t.Errorf("%d uploads were lost, %d done: the cuts missed them", lost, done)
	}
	// What a killed run left is swept by a later one, if it is old enough not to be another's.
	stale := filepath.Join(dir, ".f.fabgo-stale")
	old := time.Now().Add(-2 * time.Hour)
	if err := errors.Join(os.WriteFile(stale, nil, 0o600), os.Chtimes(stale, old, old)); err != nil {
		t.Fatal(err)
	}
	h := serve(t, sshd.Options{}).dial(t)
	if _, err := h.Do(t.Context(), transport.Write{Path: transport.Path(file), Content: content}); err != nil {
		t.Fatal(err)
	}
	for range 500 { // the scripts that were cut need a moment to see it
		if left, _ := filepath.Glob(filepath.Join(dir, ".*fabgo*")); len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	t.Errorf("left behind: %q", left)
}

func TestF03DeadConnectionIsFound(t *testing.T) {
	f := serve(t, sshd.Options{})
	f.opts.KeepAlive = 100 * time.Millisecond
	h := f.dial(t)
	go func() { time.Sleep(50 * time.Millisecond); f.Freeze() }()
	within(t, 5*time.Second, func() {
		_, err := h.Do(t.Context(), transport.Exec{Argv: transport.Texts("sleep", "20"), Change: true})
		wantKind(t, err, transport.Lost, "silent")
	})
	run(t, h, argv("true")) // on a new connection
}

func TestAfterExecSilenceHitsTheTimeLimit(t *testing.T) {
	f := serve(t, sshd.Options{Faults: func(n int) sshd.Faults { return sshd.Faults{Silent: sshd.AfterExec} }})
	f.opts.Timeouts = soon()
	within(t, 30*time.Second, func() {
		if _, err := f.try(t); err == nil {
			t.Error("a server that answers nothing was accepted")
		}
	})
}

// TestNoExitStatusOfAChangeIsLost: the channel closes in good order, but nobody says how the command ended.
func TestNoExitStatusOfAChangeIsLost(t *testing.T) {
	var dies atomic.Bool
	f := serve(t, sshd.Options{Faults: func(int) sshd.Faults { return sshd.Faults{NoExitStatus: dies.Load} }})
	h := f.dial(t)
	dies.Store(true)
	_, err := h.Do(t.Context(), transport.Exec{Argv: transport.Texts("true"), Change: true})
	wantKind(t, err, transport.Lost)
}

// liar is an SFTP server whose files are what it pleases.
type liar struct{ list []os.FileInfo }

type lie struct {
	name string
	size int64
	mode os.FileMode
}

func (l lie) Name() string       { return l.name }
func (l lie) Size() int64        { return l.size }
func (l lie) Mode() os.FileMode  { return l.mode }
func (l lie) ModTime() time.Time { return time.Unix(1, 0) }
func (l lie) IsDir() bool        { return l.mode.IsDir() }
func (l lie) Sys() any           { return nil }

func (l liar) ListAt(out []os.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l.list)) {
		return 0, io.EOF
	}
	return copy(out, l.list[offset:]), nil
}

func (l liar) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" {
		return l, nil
	}
	return liar{[]os.FileInfo{lie{name: "f", size: 5, mode: 0o644}}}, nil
}
func (l liar) Fileread(*sftp.Request) (io.ReaderAt, error) {
	return strings.NewReader(strings.Repeat("x", 1<<20)), nil
}
func (l liar) Filewrite(*sftp.Request) (io.WriterAt, error) { return nil, errors.New("no") }
func (l liar) Filecmd(*sftp.Request) error                  { return errors.New("no") }

func TestF28LyingSFTP(t *testing.T) {
	l := liar{[]os.FileInfo{lie{"../../x", 1, 0o644}, lie{"..", 1, 0o644}, lie{"a\x00b", 1, 0o644}}}
	f := serve(t, sshd.Options{SFTP: func(rw io.ReadWriteCloser) error {
		return sftp.NewRequestServer(rw, sftp.Handlers{FileGet: l, FilePut: l, FileCmd: l, FileList: l}).Serve()
	}})
	h := f.dial(t)
	// A size that is too small does not cut the content, and a limit holds against one that never ends.
	d, err := transport.Do[transport.Data](t.Context(), h, transport.Read{Path: "/f", Limit: 1000})
	if err != nil || d.Content.Size != 1000 || !d.More {
		t.Errorf("%+v, %v", d, err)
	}
	h.link.tools = map[string]bool{} // no find: the listing comes over SFTP
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "real"), nil, 0o644)
	got, err := transport.Do[transport.Listing](t.Context(), h, transport.List{Path: transport.Path(dir)})
	if err != nil {
		wantKind(t, err, transport.Protocol)
	}
	for _, e := range got.Entries {
		if e.Path != "real" {
			t.Errorf("an entry that cannot be: %+v", e)
		}
	}
}

// crowd is a folder with more entries than anybody wants to hear of.
type crowd struct {
	liar
	told *atomic.Int64 // entries
}

const crowded = 3_000_000

func (c crowd) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" {
		return c, nil
	}
	return c.liar.Filelist(r)
}

func (c crowd) ListAt(out []os.FileInfo, offset int64) (int, error) {
	if offset >= crowded {
		return 0, io.EOF
	}
	for i := range out {
		out[i] = lie{fmt.Sprintf("entry-%d", offset+int64(i)), 1, 0o644}
	}
	c.told.Add(int64(len(out)))
	return len(out), nil
}

// TestF28EndlessListing: a folder that does not end is left, and a command asked, which says what is really there.
func TestF28EndlessListing(t *testing.T) {
	var told atomic.Int64
	c := crowd{told: &told}
	f := serve(t, sshd.Options{SFTP: func(rw io.ReadWriteCloser) error {
		return sftp.NewRequestServer(rw, sftp.Handlers{FileGet: c, FilePut: c, FileCmd: c, FileList: c}).Serve()
	}})
	h := f.dial(t)
	run(t, h, argv("true"))
	h.link.tools = map[string]bool{} // no find: the listing comes over SFTP
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "real"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := transport.Do[transport.Listing](t.Context(), h, transport.List{Path: transport.Path(dir)})
	if err != nil || len(got.Entries) != 1 || got.Entries[0].Path != "real" {
		t.Errorf("%d entries, %v", len(got.Entries), err)
	}
	if n := told.Load(); n == 0 || n > 1_000_000 {
		t.Errorf("the server was heard for %d entries", n)
	}
}

// abyss has a folder in each of its folders, as a loop of symlinks looks that a server follows.
type abyss struct {
	liar
	asked *atomic.Int64 // folders
}

func (a abyss) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" {
		a.asked.Add(1)
		return liar{[]os.FileInfo{lie{"d", 1, os.ModeDir | 0o755}}}, nil
	}
	return a.liar.Filelist(r)
}

// TestF28EndlessTree: a tree that does not end is left as well.
func TestF28EndlessTree(t *testing.T) {
	var asked atomic.Int64
	a := abyss{asked: &asked}
	f := serve(t, sshd.Options{SFTP: func(rw io.ReadWriteCloser) error {
		return sftp.NewRequestServer(rw, sftp.Handlers{FileGet: a, FilePut: a, FileCmd: a, FileList: a}).Serve()
	}})
	h := f.dial(t)
	run(t, h, argv("true"))
	h.link.tools = map[string]bool{} // no find: the listing comes over SFTP
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "real"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := transport.Do[transport.Listing](t.Context(), h, transport.List{Path: transport.Path(dir), Recursive: true})
	if err != nil || len(got.Entries) != 1 || got.Entries[0].Path != "real" {
		t.Errorf("%d entries, %v", len(got.Entries), err)
	}
	if n := asked.Load(); n == 0 || n > 4096 {
		t.Errorf("the server was asked for %d folders", n)
	}
}

func TestF28ListingNames(t *testing.T) {
	for name, ok := range map[string]bool{"a": true, "...": true, "": false, ".": false, "..": false, "a/b": false, "/etc/passwd": false, "../x": false, "a\x00b": false} {
		if (checkName(name, false) == nil) != ok {
			t.Errorf("%q", name)
		}
	}
	if checkName("a/b", true) != nil || checkName("a/../b", true) == nil || checkName("a//b", true) == nil {
		t.Error("names in a tree")
	}
}

func TestF31MissingToolIsNamed(t *testing.T) {
	e := classify("stat", "/x", 127, "/bin/sh: 3: stat: not found\n")
	if e.Kind != transport.Unsupported || !strings.Contains(e.Message, "stat") {
		t.Errorf("%+v", e)
	}
}

func TestNoiseOfProfilesIsNoOutput(t *testing.T) {
	f := serve(t, sshd.Options{Env: []string{"ENV=/dev/null"}, ForceCommand: `echo "Welcome <NONCE> of $HOME"; echo loud >&2; eval "$SSH_ORIGINAL_COMMAND"`})
	if out := run(t, f.dial(t), argv("echo", "hello")); out.Stdout != "hello\n" || out.Stderr != "" {
		t.Errorf("%+v", out)
	}
}

func TestSudoPassword(t *testing.T) {
	name := account1(t)
	sudoers(t, name, "ALL")
	cmd := exec.Command("chpasswd")
	cmd.Stdin = strings.NewReader(name + ":s3cret pw\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f := openssh(t, name, "")
	f.opts.Sudo = true
	t.Run("none", func(t *testing.T) {
		_, err := f.try(t)
		wantKind(t, err, transport.Escalation, "password")
	})
	t.Run("wrong", func(t *testing.T) {
		asked := 0
		f.opts.SudoPassword = func(context.Context) ([]byte, error) { asked++; return []byte("wrong"), nil }
		_, err := f.try(t)
		wantKind(t, err, transport.Escalation, "refuses the password")
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
	t.Run("right", func(t *testing.T) {
		f.opts.SudoPassword = func(context.Context) ([]byte, error) { return []byte("s3cret pw"), nil }
		h := f.dial(t)
		in := transport.String("the input, and only that")
		out := run(t, h, transport.Exec{Argv: transport.Texts("sh", "-c", "id -un; cat"), Stdin: &in})
		if out.Stdout != "root\nthe input, and only that" {
			t.Errorf("%+v", out)
		}
		// F55: nothing that a command prints makes anybody send the password.
		out = run(t, h, transport.Exec{Argv: transport.Texts("sh", "-c", "echo '[sudo] password for root:' >&2; cat")})
		if out.Stdout != "" {
			t.Errorf("something was sent: %q", out.Stdout)
		}
		dir := transport.Path(t.TempDir())
		if _, err := h.Do(t.Context(), transport.Write{Path: dir.Join("f"), Content: transport.String("x"), Mode: "0600"}); err != nil {
			t.Fatal(err)
		}
		if d, err := transport.Do[transport.Data](t.Context(), h, transport.Read{Path: dir.Join("f")}); err != nil || d.Content.Size != 1 {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

func TestSudoRefuses(t *testing.T) {
	name := account1(t)
	if _, err := exec.LookPath("sudo"); err != nil {
		t.Skip("sudo is not installed")
	}
	f := openssh(t, name, "")
	f.opts.Sudo = true
	_, err := f.try(t)
	wantKind(t, err, transport.Escalation)
}

func BenchmarkOps(b *testing.B) {
	f := serve(b, sshd.Options{})
	h := f.dial(b)
	dir := transport.Path(b.TempDir())
	for name, op := range map[string]transport.Op{
		"Stat": transport.Stat{Path: "/etc/passwd"}, "Exec": argv("true"), "Write": transport.Write{Path: dir.Join("f"), Content: transport.String("x")},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := h.Do(b.Context(), op); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
