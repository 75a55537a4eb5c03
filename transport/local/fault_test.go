//go:build linux

package local

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// faultEnv makes TestInjected write to the file that it names.
const faultEnv = "FABGO_TEST_FAULT"

func TestInjected(t *testing.T) {
	name := os.Getenv(faultEnv)
	if name == "" {
		t.Skip("this is a part of TestWriteFaults")
	}
	runtime.LockOSThread() // strace counts the calls of each thread
	_, err := newHost(t).Do(t.Context(), transport.Write{Path: transport.Path(name), Content: transport.String("new"), Backup: transport.Path(name + "~")})
	fmt.Printf("kind %q: %v\n", transport.KindOf(err), err)
}

// TestWriteFaults lets system calls of a Write fail, one after the other (F39, F41): the error has its kind, the file is whole, and
// nothing is left beside it.
func TestWriteFaults(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("no strace here")
	}
	if out, err := exec.Command(strace, "-f", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: %s", out)
	}
	for _, tt := range []struct {
		inject string
		kind   transport.Kind
		holds  string
		backup bool
	}{
		{"fsync:error=ENOSPC:when=1", transport.NoSpace, "old", false},
		{"fsync:error=EDQUOT:when=1", transport.NoSpace, "old", false},
		{"fsync:error=EIO:when=1", transport.IO, "old", false},
		{"/^renameat2?$:error=ENOSPC:when=1", transport.NoSpace, "old", false}, // that of the backup
		{"/^renameat2?$:error=ENOSPC:when=2", transport.NoSpace, "old", true},
		{"/^renameat2?$:error=EROFS:when=2", transport.ReadOnlyFS, "old", true},
		{"/^renameat2?$:error=EPERM:when=2", transport.Denied, "old", true},
		{"fchmod:error=EIO:when=1", transport.IO, "old", false},
		{"fsetxattr:error=ENOSPC:when=1", transport.NoSpace, "old", false},
		{"fsetxattr:error=EOPNOTSUPP:when=1", "", "new", true},
		{"linkat:error=EPERM:when=1", "", "new", true},        // no hard links here: the backup is a copy
		{"fsync:error=EIO:when=2", transport.IO, "new", true}, // the folder's: the file is there, but nobody knows whether it stays
	} {
		t.Run(tt.inject, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "f")
			must(t, os.WriteFile(name, []byte("old"), 0o644))
			if err := unix.Setxattr(name, "user.fabgo", []byte("kept"), 0); err != nil && strings.Contains(tt.inject, "xattr") {
				t.Skipf("no extended attributes here: %v", err)
			}
			calls, _, _ := strings.Cut(tt.inject, ":")
			cmd := exec.Command(strace, "-f", "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+tt.inject, os.Args[0], "-test.run", "^TestInjected$")
			cmd.Env = append(os.Environ(), faultEnv+"="+name)
			out, err := cmd.CombinedOutput()
			must(t, err)
			if !strings.Contains(string(out), fmt.Sprintf("kind %q", tt.kind)) {
				t.Errorf("want kind %q: %s", tt.kind, out)
			}
			if b, err := os.ReadFile(name); err != nil || string(b) != tt.holds {
				t.Errorf("the file holds %q, %v", b, err)
			}
			want := []string{"f"}
			if tt.backup {
				want = []string{"f", "f~"}
			}
			var got []string
			entries, err := os.ReadDir(dir)
			must(t, err)
			for _, e := range entries {
				got = append(got, e.Name())
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("the folder holds %q, want %q", got, want)
			}
			if b, err := os.ReadFile(name + "~"); tt.backup && (err != nil || string(b) != "old") {
				t.Errorf("the backup holds %q, %v", b, err)
			}
		})
	}
}

// TestNoInodes: a file system may have room and yet no place for another file.
func TestNoInodes(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "nr_inodes=3"); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH) //nolint:errcheck // the folder is gone with the test
	h, p := newHost(t), transport.Path(dir)
	for _, name := range []string{"f", "g"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o644))
	}
	for _, op := range []transport.Op{
		transport.Write{Path: p.Join("f"), Content: transport.String("new")}, transport.Write{Path: p.Join("new"), Content: transport.String("new")},
		transport.Mkdir{Path: p.Join("d")}, transport.Link{Path: p.Join("l"), Target: "f"},
	} {
		_, err := h.Do(t.Context(), op)
		if transport.KindOf(err) != transport.NoSpace {
			t.Errorf("%s: %v", op.Kind(), err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(b) != "old" {
		t.Errorf("the file holds %q, %v", b, err)
	}
}
