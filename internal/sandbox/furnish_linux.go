package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// resolver is the machine's /etc/resolv.conf as it was before the new root:
// often a link into /run, which the sandbox has not.
type resolver struct {
	link    string
	content []byte
}

func readResolver() resolver {
	var r resolver
	r.link, _ = os.Readlink("/etc/resolv.conf")
	r.content, _ = os.ReadFile("/etc/resolv.conf")
	return r
}

// furnish gives the new root the folders that must not be the machine's own.
// It runs before the root is changed, while the machine's /dev is in reach.
func (t *tree) furnish(r resolver) error {
	for _, dir := range own {
		if err := os.MkdirAll(t.root+dir, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
	}
	for _, part := range []struct {
		what string
		make func() error
	}{{"/proc", t.proc}, {"/sys", t.sys}, {"/dev", t.dev}, {"/run and /tmp", t.volatile}} {
		if err := part.make(); err != nil {
			return refused("make "+part.what+" of the sandbox", err, !t.user)
		}
	}
	return t.files(r)
}

// proc mounts the process table of the new namespace. What in it is the
// kernel's rather than a process's is read-only: uid 0 owns those files.
func (t *tree) proc() error {
	proc := t.root + "/proc"
	if err := unix.Mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	for _, name := range []string{"sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "driver", "tty", "mtrr", "timer_list", "latency_stats"} {
		path := proc + "/" + name
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /proc/%s: %w", name, err)
		}
		if err := readOnly(path); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) sys() error {
	if err := unix.Mount("/sys", t.root+"/sys", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return readOnly(t.root + "/sys")
}

// dev makes the devices that every program may expect. They are the
// machine's, mounted read-only: that allows writing to the device and forbids
// a chmod that the machine would feel.
func (t *tree) dev() error {
	dev := t.root + "/dev"
	if err := unix.Mount("fabgo-sandbox", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,size=1m"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		to := dev + "/" + name
		if err := os.WriteFile(to, nil, 0o644); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind /dev/%s: %w", name, err)
		}
		if err := readOnly(to); err != nil {
			return err
		}
	}
	for _, dir := range []string{"pts", "shm"} {
		if err := os.Mkdir(dev+"/"+dir, 0o755); err != nil {
			return err
		}
	}
	options := "newinstance,ptmxmode=0666,mode=0620"
	if err := unix.Mount("devpts", dev+"/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, options+",gid=5"); err != nil {
		// The group tty may not exist in this user namespace.
		if err := unix.Mount("devpts", dev+"/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, options); err != nil {
			return fmt.Errorf("mount devpts: %w", err)
		}
	}
	if err := unix.Mount("shm", dev+"/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=10%"); err != nil {
		return err
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, dev+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) volatile() error {
	if err := unix.Mount("fabgo-sandbox", t.root+"/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return err
	}
	if err := os.Mkdir(t.root+"/run/lock", 0o1777); err != nil {
		return err
	}
	if err := unix.Chmod(t.root+"/run/lock", 0o1777); err != nil {
		return err
	}
	return unix.Mount("fabgo-sandbox", t.root+"/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=25%")
}

// files writes the few files without which a copy of a machine does not work.
func (t *tree) files(r resolver) error {
	if err := t.resolv(r); err != nil {
		return fmt.Errorf("write /etc/resolv.conf of the sandbox: %w", err)
	}
	if err := t.write("/etc/hostname", "sandbox\n", 0o644); err != nil {
		return err
	}
	hosts, _ := os.ReadFile("/etc/hosts")
	if len(hosts) > 0 && hosts[len(hosts)-1] != '\n' {
		hosts = append(hosts, '\n')
	}
	// Without its own name sudo complains at every call.
	if err := t.write("/etc/hosts", string(hosts)+"127.0.1.1\tsandbox\n", 0o644); err != nil {
		return err
	}
	// No init runs here, and a daemon that a package started would hold the
	// machine's ports: 101 is "forbidden by policy" to invoke-rc.d.
	if err := t.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755); err != nil {
		return err
	}
	if !t.user {
		return nil
	}
	if maps, err := sameIDs("/proc/self/uid_map"); err == nil && len(maps) == 1 && maps[0].Size == 1 {
		if st, err := os.Stat("/etc/apt/apt.conf.d"); err == nil && st.IsDir() {
			conf := "// There is no user _apt in this sandbox to change to.\nAPT::Sandbox::User \"root\";\n"
			if err := t.write("/etc/apt/apt.conf.d/00fabgo-sandbox", conf, 0o644); err != nil {
				return err
			}
		}
	}
	t.hideClosed()
	return t.shadows()
}

// shadows makes the password files that a user may not read out of those that
// all may: the same names, every password locked.
func (t *tree) shadows() error {
	for _, f := range []struct{ from, to, rest string }{
		{"/etc/passwd", "/etc/shadow", ":*:19000:0:99999:7:::\n"},
		{"/etc/group", "/etc/gshadow", ":*::\n"},
	} {
		if unix.Access(f.to, unix.R_OK) == nil {
			continue
		}
		from, err := os.Open(f.from)
		if err != nil {
			continue
		}
		var b strings.Builder
		for lines := bufio.NewScanner(from); lines.Scan(); {
			if name, _, ok := strings.Cut(lines.Text(), ":"); ok {
				b.WriteString(name + f.rest)
			}
		}
		from.Close()
		if err := t.write(f.to, b.String(), 0o640); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) resolv(r resolver) error {
	if r.content == nil {
		return nil
	}
	if r.link == "" {
		return t.write("/etc/resolv.conf", string(r.content), 0o644)
	}
	target := r.link
	if !filepath.IsAbs(target) {
		target = filepath.Join("/etc", target)
	}
	if within(target, "/var/run") {
		target = strings.TrimPrefix(target, "/var")
	}
	if !within(target, "/run") {
		return nil // the link works in here as it does outside
	}
	if err := os.MkdirAll(filepath.Dir(t.root+target), 0o755); err != nil {
		return err
	}
	return t.write(target, string(r.content), 0o644)
}

// write replaces a file of the new root, in a way that also works where the
// old one belongs to nobody.
func (t *tree) write(path, content string, mode fs.FileMode) error {
	to := t.root + path
	if _, err := os.Stat(filepath.Dir(to)); err != nil {
		return nil // a system without that folder has no use for the file
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(to, []byte(content), mode); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}
