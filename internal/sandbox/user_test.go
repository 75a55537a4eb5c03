//go:build linux

package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestUser starts a sandbox as an ordinary user: as this one, or, when the
// tests run as root, as one that has nothing.
func TestUser(t *testing.T) {
	before := machine(t)
	dir, err := os.MkdirTemp("", "fabgo-user") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "test")
	copyProgram(t, self)
	cmd := exec.Command(self, asUser)
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if text := out.String(); strings.Contains(text, "the kernel refused") && strings.Contains(text, instead) {
		t.Skip(text)
	} else if err != nil {
		t.Errorf("%v\n%s", err, text)
	} else {
		t.Log(text)
	}
	if after := machine(t); after != before {
		t.Errorf("the machine has changed:\n%s", changed(before, after))
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, from); err != nil {
		t.Fatal(err)
	}
}

// userMain is what the ordinary user runs.
func userMain() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	begin := time.Now()
	sb, err := Start(ctx, Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("started in", time.Since(begin), sb.Limits)
	failed := false
	for _, tc := range []struct{ script, out string }{
		{"id -u; hostname", "0\nsandbox\n"},
		{"echo hi > /etc/fabgo-new && cat /etc/fabgo-new && echo '# end' >> /etc/passwd && tail -1 /etc/passwd && sed -i '$d' /etc/passwd", "hi\n# end\n"},
		{"stat -c %U /etc/passwd /usr/bin", "root\nroot\n"},
		{"mkdir /usr/share/fabgo /opt/fabgo /var/lib/fabgo-made && touch /usr/share/fabgo/x && ls /usr/share/fabgo", "x\n"},
		{"useradd -r fabgo-u && getent passwd fabgo-u | cut -d: -f1", "fabgo-u\n"},
		{packageScript, packageOutput},
		{"dpkg -r fabgo-probe >/dev/null 2>&1 && test ! -e /usr/bin/fabgo-probe && echo removed", "removed\n"},
		{"echo x > /dev/null; mount -t tmpfs none /mnt && umount /mnt && echo mounted", "mounted\n"},
		{"echo 61 2>/dev/null > /proc/sys/vm/swappiness || echo refused", "refused\n"},
		{"umount /proc/sys 2>/dev/null || ls /proc/1/root/ 2>/dev/null || echo refused", "refused\n"},
	} {
		if got, err := sb.sh(tc.script); err != nil || got != tc.out {
			fmt.Printf("%s\n got %q, %v\nwant %q\n", tc.script, got, err, tc.out)
			failed = true
		}
	}
	if err := sb.Close(); err != nil || failed {
		fmt.Println("failed", err)
		os.Exit(1)
	}
}
