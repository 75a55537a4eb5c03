package hosttest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// Machine fills the hooks of a target that shares this machine with the test: file systems are mounted, attributes and the umask set,
// where this process is root and the kernel lets it. local says that the host is this very process, so that its umask is ours.
func (target Target) Machine(t *testing.T, local bool) Target {
	t.Helper()
	if local {
		target.Umask = func(t *testing.T, mask int) {
			old := syscall.Umask(mask)
			t.Cleanup(func() { syscall.Umask(old) })
		}
	}
	if os.Geteuid() != 0 {
		target.Unowned = func(*testing.T) transport.Path { return "/usr/share" }
		return target
	}
	if !target.AsRoot {
		target.Unowned = func(t *testing.T) transport.Path {
			d := t.TempDir()
			t.Cleanup(open(t, d))
			return transport.Path(d)
		}
	}
	probe := t.TempDir()
	if err := unix.Mount("none", probe, "tmpfs", 0, "size=64k"); err != nil {
		t.Logf("file systems cannot be mounted here: %v", err)
	} else {
		_ = unix.Unmount(probe, unix.MNT_DETACH)
		target.Small = func(t *testing.T) transport.Path { return mount(t, t.TempDir(), "size=2m,mode=0777") }
		target.Mount = func(t *testing.T, p transport.Path) { mount(t, string(p), "size=64k,mode=0777") }
		target.ReadOnly = func(t *testing.T) transport.Path {
			d := string(mount(t, t.TempDir(), "size=64k,mode=0777"))
			if err := os.WriteFile(filepath.Join(d, "old"), []byte("old\n"), 0o666); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("none", d, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			return transport.Path(d)
		}
	}
	flagged := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(flagged, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := setFlag(flagged, immutable, true); err != nil {
		t.Logf("the immutable attribute cannot be set here: %v", err)
		return target
	}
	if err := setFlag(flagged, immutable, false); err != nil {
		t.Fatal(err)
	}
	attribute := func(flag int) func(t *testing.T, p transport.Path) {
		return func(t *testing.T, p transport.Path) {
			if err := setFlag(string(p), flag, true); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := setFlag(string(p), flag, false); err != nil {
					t.Error(err)
				}
			})
		}
	}
	target.Immutable, target.Append = attribute(immutable), attribute(appendOnly)
	return target
}

// open lets everyone enter the folders above dir, as an unprivileged target must; it returns how to undo that.
func open(t *testing.T, dir string) (undo func()) {
	t.Helper()
	var restore []func()
	for d := filepath.Dir(dir); d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		st, err := os.Stat(d)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm()&0o111 == 0o111 {
			continue
		}
		if err := os.Chmod(d, st.Mode()|0o111); err != nil {
			t.Fatal(err)
		}
		restore = append(restore, func() { _ = os.Chmod(d, st.Mode()) })
	}
	return func() {
		for _, f := range restore {
			f()
		}
	}
}

func mount(t *testing.T, dir, options string) transport.Path {
	t.Helper()
	if err := unix.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return transport.Path(dir)
}

// Attributes of files, in linux/fs.h FS_IMMUTABLE_FL and FS_APPEND_FL.
const (
	immutable  = 0x10
	appendOnly = 0x20
)

func setFlag(name string, flag int, on bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		if flags &^= flag; on {
			flags |= flag
		}
		err = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
	}
	return errors.Join(err, f.Close())
}
