//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// packageScript builds a package of one program and installs it. The
// maintainer script asks for a service, which policy-rc.d has to forbid.
const packageScript = `set -e
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/bin /tmp/p/etc
printf 'Package: fabgo-probe\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: probe\n' > /tmp/p/DEBIAN/control
printf '/etc/fabgo-probe.conf\n' > /tmp/p/DEBIAN/conffiles
printf '#!/bin/sh\n/usr/sbin/policy-rc.d nginx start; test $? = 101\n' > /tmp/p/DEBIAN/postinst
printf '#!/bin/sh\necho probe works\n' > /tmp/p/usr/bin/fabgo-probe
echo a=1 > /tmp/p/etc/fabgo-probe.conf
chmod 755 /tmp/p/DEBIAN/postinst /tmp/p/usr/bin/fabgo-probe
dpkg-deb --root-owner-group --build /tmp/p /tmp/p.deb >/dev/null
dpkg -i /tmp/p.deb >/dev/null 2>&1
dpkg-query -W -f '${Status}\n' fabgo-probe
fabgo-probe
`

const packageOutput = "install ok installed\nprobe works\n"

func TestRoot(t *testing.T) {
	needRoot(t)
	witness := exec.Command("sleep", "987654")
	if err := witness.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { witness.Process.Kill(); witness.Wait() }()
	hidden := filepath.Join(t.TempDir(), "hidden") // in the machine's /tmp
	if err := os.WriteFile(hidden, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := machine(t)
	sb := start(t, Options{})
	if len(sb.Limits) != 0 || sb.User != "root" || sb.Rejoined {
		t.Errorf("sandbox: %+v", sb)
	}

	t.Run("is a copy of this machine", func(t *testing.T) {
		sb.want(t, "id -u; hostname; cat /etc/hostname; getent hosts sandbox | tr -s ' '", "0\nsandbox\nsandbox\n127.0.1.1 sandbox\n")
		status, _ := os.ReadFile("/etc/debian_version")
		sb.want(t, "cat /etc/debian_version", string(status))
		resolv, _ := os.ReadFile("/etc/resolv.conf")
		sb.want(t, "cat /etc/resolv.conf", string(resolv))
		sb.want(t, "pwd; umask; echo $HOME", "/root\n0022\n/root\n")
		sb.want(t, "test ! -e "+hidden+"; echo $?; ls -A /tmp /run", "0\n/run:\nlock\n\n/tmp:\n")
		sb.want(t, "echo x > /dev/null; head -c 3 /dev/zero | wc -c; test -c /dev/ptmx; echo $?", "3\n0\n")
		sb.want(t, "ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 ")
	})
	t.Run("can be changed", func(t *testing.T) {
		sb.want(t, "echo hi > /etc/fabgo-new && cat /etc/fabgo-new && echo '# end' >> /etc/passwd && tail -1 /etc/passwd", "hi\n# end\n")
		sb.want(t, "useradd -r -m -d /srv/fabgo-u -s /bin/sh fabgo-u && su fabgo-u -c 'id -un; touch ~/x' && stat -c %U /srv/fabgo-u/x", "fabgo-u\nfabgo-u\n")
		sb.want(t, "touch /srv/f && chown 12345:23456 /srv/f && stat -c %u:%g /srv/f", "12345:23456\n")
		sb.want(t, "mkdir /usr/d && mv /usr/d /usr/e && rm -r /usr/share/doc && mkdir /usr/share/doc && ls -A /usr/share/doc && rmdir /usr/e", "")
		sb.want(t, packageScript, packageOutput)
		sb.want(t, "hostname other && hostname", "other\n")
		sb.want(t, "mount -t tmpfs none /mnt && touch /mnt/x && umount /mnt && ls /mnt/x 2>/dev/null; echo $?", "2\n")
	})
	t.Run("cannot reach out", func(t *testing.T) {
		pid := witness.Process.Pid
		sb.want(t, fmt.Sprintf("cat /proc/%d/comm 2>/dev/null | grep -x sleep; kill -9 %d 2>/dev/null; true", pid, pid), "")
		if err := witness.Process.Signal(unix.Signal(0)); err != nil {
			t.Errorf("the process outside: %v", err)
		}
		for _, script := range []string{
			"echo 61 > /proc/sys/vm/swappiness",
			"echo h > /proc/sysrq-trigger",
			"mount -o remount,rw /proc/sys",
			"mount -o remount,bind,rw /proc/sys",
			"umount /proc/sys",
			"umount -l /proc",
			"mkdir -p /mnt/p && mount -t proc proc /mnt/p && echo 61 > /mnt/p/sys/vm/swappiness",
			"mount -t sysfs sysfs /mnt",
			"mount -o remount,bind,rw /sys",
			"echo 1 > /sys/kernel/mm/ksm/run",
			"chmod 600 /dev/null",
			"rm /dev/null",
			"mknod /dev/disk b 254 0",
			"mknod /srv/disk b 254 0",
			"mount -t tmpfs none /srv && mknod /srv/disk c 1 3",
			"ls /proc/1/root/",
			"readlink /proc/1/fd/0",
			"ls /proc/1/cwd/",
			"nsenter -t 1 -m true",
			"kill -KILL 1; kill -TERM 1; sleep 0.1; ls /proc/1/root/",
			"date -s '2001-01-01'",
		} {
			sb.fails(t, "LC_ALL=C "+script)
		}
	})
	t.Run("buries its dead", func(t *testing.T) {
		// The orphan becomes a child of process 1 and ends after its parent.
		sb.want(t, `sh -c '(exec 0<&- 1>&- 2>&-; sleep 0.05) & echo $!' > /tmp/orphan; p=$(cat /tmp/orphan)
			for i in $(seq 200); do test -e /proc/$p || { echo gone; break; }; sleep 0.02; done`, "gone\n")
	})
	if _, err := sb.sh("setsid sleep 31557601 >/dev/null 2>&1 </dev/null & setsid sh -c 'trap \"\" TERM HUP; sleep 31557601' >/dev/null 2>&1 </dev/null &"); err != nil {
		t.Fatal(err)
	}
	if len(processes(t, "31557601")) == 0 {
		t.Error("no process to look for")
	}
	if err := sb.Close(); err != nil {
		t.Fatal(err)
	}
	if left := processes(t, "31557601"); len(left) > 0 {
		t.Errorf("processes that outlived the sandbox: %v", left)
	}
	if _, err := dial(sb); err == nil {
		t.Error("something still listens")
	}
	if after := machine(t); after != before {
		t.Errorf("the machine has changed:\n%s", changed(before, after))
	}
}

// changed shows the first lines in which two states differ.
func changed(before, after string) string {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("-%s\n+%s", a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, then %d", len(a), len(b))
}

// TestSeparate: what one sandbox does, the next one does not see.
func TestSeparate(t *testing.T) {
	needRoot(t)
	a, b := start(t, Options{}), start(t, Options{})
	a.want(t, "echo a > /etc/fabgo-which; cat /etc/fabgo-which", "a\n")
	b.want(t, "cat /etc/fabgo-which 2>/dev/null; hostname", "sandbox\n")
}

func TestStartIsCancelled(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if sb, err := Start(ctx, Options{}); !errors.Is(err, context.Canceled) {
		if err == nil {
			sb.Close()
		}
		t.Errorf("start: %v", err)
	}
}

// TestParentDies: the sandbox goes with its parent, however that goes.
func TestParentDies(t *testing.T) {
	needRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self, asParent)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var word string
	if _, err := fmt.Fscan(out, &word); err != nil || word != "started" {
		t.Fatalf("parent: %q, %v", word, err)
	}
	if len(processes(t, "31557602")) == 0 {
		t.Error("no process to look for")
	}
	parent.Process.Kill()
	parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); len(processes(t, "31557602")) > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the sandbox outlived its parent")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// parentMain is the parent that gets killed.
func parentMain() {
	sb, err := Start(context.Background(), Options{})
	if err == nil {
		_, err = sb.sh("setsid sleep 31557602 >/dev/null 2>&1 </dev/null &")
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("started")
	select {}
}

func TestChildAlone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(self, Command, "outer").CombinedOutput(); err == nil {
		t.Errorf("sandbox-init ran on its own: %s", out)
	}
}
