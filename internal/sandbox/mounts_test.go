//go:build linux

package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMounts(t *testing.T) {
	got, err := parseMounts(`25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 25 0:5 / /a\040b rw - tmpfs tmpfs rw
31 25 0:6 / /a\040b rw shared:7 master:2 - overlay o rw
`)
	if err != nil || len(got) != 2 || got[0] != (mountPoint{"/", "ext4"}) || got[1] != (mountPoint{"/a b", "overlay"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseMounts("nonsense\n"); err == nil {
		t.Error("nonsense was understood")
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add("25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n")
	f.Add("31 25 0:6 / /a\\040b\\134\\9 rw - overlay o rw\n")
	f.Fuzz(func(t *testing.T, text string) {
		mounts, err := parseMounts(text)
		if err == nil && len(mounts) > strings.Count(text, "\n")+1 {
			t.Errorf("%d mounts from %q", len(mounts), text)
		}
	})
}

// part runs the test binary in another part, with other attributes.
func part(t *testing.T, name string, attr *syscall.SysProcAttr) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, name)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestSubmounts: a machine with file systems below "/" shows them all, and
// keeps them as they are.
func TestSubmounts(t *testing.T) {
	needRoot(t)
	if out, err := part(t, asMounter, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}); err != nil || out != "ok\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// mounterMain is a machine, in a mount namespace of its own, on which /srv is
// a file system with another one in it, and one file is a mount too.
func mounterMain() {
	fail := func(what string, err error) {
		fmt.Println(what, err)
		os.Exit(1)
	}
	for _, err := range []error{
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("outer", "/srv", "tmpfs", 0, ""),
		os.Mkdir("/srv/in side,a:b", 0o755),
		unix.Mount("inner", "/srv/in side,a:b", "tmpfs", 0, ""),
		os.WriteFile("/srv/x", []byte("x\n"), 0o644),
		os.WriteFile("/srv/in side,a:b/y", []byte("y\n"), 0o644),
		unix.Mount("/srv/x", "/etc/issue", "", unix.MS_BIND, ""),
	} {
		if err != nil {
			fail("mount", err)
		}
	}
	// What older kernels need to make a tree of mounts read-only.
	if err := eachReadOnly("/srv"); err != nil {
		fail("make read-only", err)
	}
	if os.WriteFile("/srv/z", nil, 0o644) == nil || os.WriteFile("/srv/in side,a:b/z", nil, 0o644) == nil {
		fail("/srv is not read-only", nil)
	}
	sb, err := Start(context.Background(), Options{})
	if err != nil {
		fail("start", err)
	}
	defer sb.Close()
	const script = `cat /srv/x "/srv/in side,a:b/y" /etc/issue && for f in /srv/x "/srv/in side,a:b/y" /etc/issue; do echo changed >> "$f"; done; cat /srv/x`
	if out, err := sb.sh(script); err != nil || out != "x\ny\nx\nx\nchanged\n" {
		fail(out, err)
	}
	for _, f := range []string{"/srv/x", "/srv/in side,a:b/y", "/etc/issue"} {
		if b, err := os.ReadFile(f); err != nil || strings.Contains(string(b), "changed") {
			fail("the machine's "+f+" has "+string(b), err)
		}
	}
	fmt.Println("ok")
}

// TestRefused: where there can be no user namespaces, the error says so, says
// how to allow them, and names the other ways.
func TestRefused(t *testing.T) {
	out, err := part(t, asRefused, &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, AmbientCaps: []uintptr{unix.CAP_SYS_RESOURCE},
	})
	if err != nil && out == "" {
		t.Skipf("the kernel refused even the test's own user namespace: %v", err)
	}
	for _, want := range []string{"the kernel refused a user namespace", "sysctl user.max_user_namespaces", "@local", "virtual machine"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the error: %s", want, out)
		}
	}
}

// refusedMain is a machine, in a user namespace of its own, whose limit of
// further ones is 0.
func refusedMain() {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	sb, err := Start(context.Background(), Options{})
	if err == nil {
		sb.Close()
	}
	fmt.Println(err)
}
