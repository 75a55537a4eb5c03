//go:build linux

package local_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fabgo/transport"
	"fabgo/transport/hosttest"
	"fabgo/transport/local"
)

func open(t *testing.T) *local.Host {
	t.Helper()
	h, err := local.New(local.Options{Grace: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func do[R transport.Result](t *testing.T, h transport.Host, op transport.Op) R {
	t.Helper()
	r, err := transport.Do[R](t.Context(), h, op)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConformance(t *testing.T) {
	hosttest.Run(t, func(t *testing.T) hosttest.Target {
		target := hosttest.Target{Host: open(t), Root: transport.Path(t.TempDir()), AsRoot: os.Geteuid() == 0, Processes: true, Taps: true}
		if target.AsRoot {
			target.Other = "daemon"
		}
		return target.Machine(t, true)
	})
}

// TestConformanceByComponent is the suite for the parts that walk, as on a kernel without openat2.
func TestConformanceByComponent(t *testing.T) {
	hosttest.Run(t, func(t *testing.T) hosttest.Target {
		return hosttest.Target{Host: local.WalkByComponent(open(t)), Root: transport.Path(t.TempDir()), AsRoot: os.Geteuid() == 0, Slow: true}.Machine(t, true)
	})
}

// needRoot skips what an ordinary user cannot bring about.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
}

// TestAsOrdinaryUser runs the suite again as a user that is not root, and as an id that has no account.
func TestAsOrdinaryUser(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "test")
	in, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(binary, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	for _, uid := range []int{65534, 54321} {
		t.Run(fmt.Sprint(uid), func(t *testing.T) {
			tmp := filepath.Join(dir, fmt.Sprint(uid))
			if err := os.Mkdir(tmp, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(tmp, uid, uid); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestConformance$", "-test.short", "-test.timeout=4m")
			cmd.Dir, cmd.Env = tmp, []string{"TMPDIR=" + tmp, "PATH=/usr/bin:/bin"}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestPrivateWhileWritten looks at the temporary file in the middle of a Write: nobody may read it whom the final mode keeps out.
func TestPrivateWhileWritten(t *testing.T) {
	h, dir := open(t), t.TempDir()
	for _, tt := range []struct{ mode, during transport.Mode }{{"0644", "0600"}, {"4755", "0600"}, {"0440", "0400"}, {"0040", "0000"}} {
		looked := 0
		c := transport.String("secret")
		peeking := transport.Source(c.Digest, c.Size, func() (io.ReadCloser, error) {
			return io.NopCloser(readerFunc(func(p []byte) (int, error) {
				names, err := filepath.Glob(filepath.Join(dir, ".*fabgo-*"))
				if err != nil || len(names) != 1 {
					t.Fatalf("temporary files: %q, %v", names, err)
				}
				if got := do[transport.FileInfo](t, h, transport.Stat{Path: transport.Path(names[0])}); got.Mode != tt.during {
					t.Errorf("while a file of mode %s is written its temporary file has %s", tt.mode, got.Mode)
				}
				if looked++; looked > 1 {
					return 0, io.EOF
				}
				return copy(p, "secret"), nil
			})), nil
		})
		do[transport.Written](t, h, transport.Write{Path: transport.Path(dir).Join("f"), Content: peeking, Mode: tt.mode})
		if looked == 0 {
			t.Error("the content was never read")
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestBackupAcrossFileSystems has the file on another file system than its symlink and the backup: a hard link cannot do it.
func TestBackupAcrossFileSystems(t *testing.T) {
	here := t.TempDir()
	there, err := os.MkdirTemp("/dev/shm", "fabgo-test-")
	if err != nil {
		t.Skipf("no second file system to write to: %v", err)
	}
	defer os.RemoveAll(there)
	var a, b syscall.Stat_t
	if syscall.Stat(here, &a) != nil || syscall.Stat(there, &b) != nil || a.Dev == b.Dev {
		t.Skip("no second file system")
	}
	h := open(t)
	p, real := transport.Path(here).Join("f"), transport.Path(there).Join("real")
	do[transport.Written](t, h, transport.Write{Path: real, Content: transport.String("old"), Mode: "0640"})
	do[transport.Done](t, h, transport.Link{Path: p, Target: transport.Text(real)})
	do[transport.Written](t, h, transport.Write{Path: p, Content: transport.String("new"), Follow: true, Backup: p + ".bak"})
	for name, want := range map[transport.Path]string{real: "new", p + ".bak": "old"} {
		b, err := os.ReadFile(string(name))
		info := do[transport.FileInfo](t, h, transport.Stat{Path: name})
		if err != nil || string(b) != want || info.Mode != "0640" {
			t.Errorf("%s: %q, %v, %+v", name, b, err, info)
		}
	}
	for _, dir := range []string{here, there} {
		if left, _ := filepath.Glob(filepath.Join(dir, ".*fabgo*")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

// TestSupplementaryGroups runs a command as a user and asks for its groups, which must be those of the account and none of root's.
func TestSupplementaryGroups(t *testing.T) {
	needRoot(t)
	h := open(t)
	for _, u := range []string{"daemon", "nobody"} {
		want, err := exec.CommandContext(t.Context(), "id", "-G", u).Output()
		if err != nil {
			t.Fatal(err)
		}
		out := do[transport.Output](t, h, transport.Exec{Argv: transport.Texts("id", "-G"), User: transport.Text(u)})
		if string(out.Stdout) != string(want) {
			t.Errorf("%s has the groups %q, want %q", u, out.Stdout, want)
		}
	}
}

// TestOwnSession checks that a command has no terminal and is the leader of a group of its own.
func TestOwnSession(t *testing.T) {
	out := do[transport.Output](t, open(t), transport.Exec{Argv: transport.Texts("cat", "/proc/self/stat")})
	f := strings.Fields(string(out.Stdout))
	if len(f) < 7 || f[0] != f[4] || f[0] != f[5] || f[6] != "0" {
		t.Errorf("pid, group, session and terminal: %q", f)
	}
}

// TestEscapedChild: a child that left the process group and holds the outputs cannot be killed with it, and must not hold us either.
func TestEscapedChild(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("no setsid command here")
	}
	pid := filepath.Join(t.TempDir(), "pid")
	t.Cleanup(func() {
		if b, err := os.ReadFile(pid); err == nil {
			_ = exec.Command("kill", strings.TrimSpace(string(b))).Run()
		}
	})
	begin := time.Now()
	_, err := open(t).Do(t.Context(), transport.Exec{Timeout: time.Second,
		Argv: transport.Texts("sh", "-c", `setsid sh -c 'echo $$ >"$0"; exec sleep 60' "$0" & exec sleep 60`, pid)})
	if took := time.Since(begin); transport.KindOf(err) != transport.Timeout || took > 20*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
}
