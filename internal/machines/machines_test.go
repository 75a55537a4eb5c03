package machines_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fabgo/internal/machines"
)

func TestMachinesAreSkippedUnlessAskedFor(t *testing.T) {
	t.Setenv("FABGO_MACHINES", "")
	skipped := false
	t.Run("need", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		machines.Need(t)
	})
	if !skipped {
		t.Error("a test that needs machines runs without FABGO_MACHINES=1")
	}
}

// TestMachinesAreRealDebian checks what tests of fabgo count on: systemd, apt, the accounts, separate disks, addresses, a reboot.
func TestMachinesAreRealDebian(t *testing.T) {
	ms := machines.Boot(t, 2)
	a, b := ms[0], ms[1]
	if a.Addr == b.Addr || a.Root == b.Root || a.KnownHostsFile == b.KnownHostsFile {
		t.Fatalf("two machines share what is theirs: %+v, %+v", a, b)
	}

	t.Run("systemd", func(t *testing.T) {
		for _, m := range ms {
			if got := m.SSH(t, "systemctl is-system-running"); got != "running\n" {
				t.Errorf("%s is %q", m.Addr, got)
			}
		}
	})
	t.Run("arguments", func(t *testing.T) {
		if got, want := a.SSH(t, "printf", "%s|", "a b", "it's", "$HOME", "line\nline"), "a b|it's|$HOME|line\nline|"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("accounts", func(t *testing.T) {
		for _, c := range []struct{ user, cmd, stdin, want string }{
			{"root", "id -un", "", "root"},
			{"deploy", "sudo -n id -un", "", "root"},
			{"pwuser", "sudo -n true", "", "sudo: a password is required"},
			{"pwuser", "sudo -S -p '' id -un", machines.PasswordOfPwuser + "\n", "root"},
			{"noshell", "id", "", "This account is currently not available."},
			{"locked", "id", "", "Connection closed"},
			{"expired", "id", "", "Password change required but no TTY available."},
		} {
			if got := login(t, a, c.user, c.cmd, c.stdin); !strings.Contains(got, c.want) {
				t.Errorf("%s: %s: got %q, want %q in it", c.user, c.cmd, got, c.want)
			}
		}
	})
	t.Run("disks are apart", func(t *testing.T) {
		a.SSH(t, "echo mine > /etc/mine")
		if got, err := os.ReadFile(filepath.Join(a.Root, "etc/mine")); err != nil || string(got) != "mine\n" {
			t.Errorf("seen from here: %q, %v", got, err)
		}
		if _, err := os.Stat(filepath.Join(b.Root, "etc/mine")); !os.IsNotExist(err) {
			t.Errorf("the other machine has it too: %v", err)
		}
	})
	t.Run("apt", func(t *testing.T) {
		// Two web servers beside each other: both listen where their machine is.
		for _, m := range ms {
			m.SSH(t, "mkdir -p /etc/nginx/sites-enabled && echo 'server { listen "+m.Host()+":80; location / { return 200 \"I am $hostname\\n\"; } }' > /etc/nginx/sites-enabled/default")
			m.SSH(t, "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold nginx")
			if got := m.SSH(t, "systemctl", "is-active", "nginx"); got != "active\n" {
				t.Errorf("nginx on %s is %q", m.Addr, got)
			}
			if got, want := get(t, m), fmt.Sprintf("I am m%d\n", m.Number); got != want {
				t.Errorf("http://%s answers %q, want %q", m.Host(), got, want)
			}
		}
	})
	t.Run("reboot", func(t *testing.T) {
		boot := a.SSH(t, "cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestampMonotonic")
		a.SSH(t, "systemd-run --on-active=0 --timer-property=AccuracySec=1ms systemctl reboot")
		for deadline := time.Now().Add(time.Minute); ; {
			out := login(t, a, "root", "systemctl is-system-running --wait && cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestampMonotonic", "")
			if now, up := strings.CutPrefix(out, "running\n"); up && now != boot {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("did not come back: %s", out)
			}
		}
		if got := a.SSH(t, "cat /etc/mine; systemctl is-active nginx"); got != "mine\nactive\n" {
			t.Errorf("after a reboot: %q", got)
		}
	})
	t.Run("fresh", func(t *testing.T) {
		before, err := os.ReadFile(a.KnownHostsFile)
		if err != nil {
			t.Fatal(err)
		}
		a.Fresh(t)
		if got := a.SSH(t, "ls /etc/mine /usr/sbin/nginx 2>/dev/null; systemctl is-system-running"); got != "running\n" {
			t.Errorf("a fresh machine still has %q", got)
		}
		after, err := os.ReadFile(a.KnownHostsFile)
		if err != nil || bytes.Equal(before, after) || bytes.Count(after, []byte("\n")) != 3 {
			t.Errorf("a fresh machine has its old host keys, or not three: %s, %v", after, err)
		}
		if _, err := os.Stat(filepath.Join(b.Root, "usr/sbin/nginx")); err != nil {
			t.Errorf("the other machine lost its disk: %v", err)
		}
	})
}

func TestMachinesEndWithTheirTest(t *testing.T) {
	machines.Need(t)
	var m *machines.Machine
	t.Run("boot", func(t *testing.T) {
		m = machines.Boot(t, 1)[0]
		m.SSH(t, "true")
	})
	gone(t, m, 0)
}

// TestMachinesEndWhenTheTestIsKilled runs this test binary once more, kills it as nothing can be killed harder, and expects its machine
// to go as well.
func TestMachinesEndWhenTheTestIsKilled(t *testing.T) {
	machines.Need(t)
	if os.Getenv("FABGO_MACHINES_VICTIM") != "" {
		m := machines.Boot(t, 1)[0]
		fmt.Printf("victim %d %s %s\n", m.Number, m.Addr, m.KnownHostsFile)
		select {}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.timeout=5m")
	victim.Env = append(os.Environ(), "FABGO_MACHINES_VICTIM=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	m := &machines.Machine{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "victim %d %s %s", &m.Number, &m.Addr, &m.KnownHostsFile); err == nil {
			break
		}
	}
	victim.Process.Kill()
	victim.Wait()
	if m.Addr == "" {
		t.Fatal("the victim never booted its machine")
	}
	gone(t, m, 30*time.Second)
}

// gone waits for the keeper of the machine to end, whose lock says that it lives, and checks that it has left nothing. The lock is asked
// for in the shared way, as everyone does who only asks.
func gone(t *testing.T, m *machines.Machine, limit time.Duration) {
	t.Helper()
	disk := filepath.Dir(m.KnownHostsFile)
	if out, err := exec.Command("flock", "--shared", "--timeout", fmt.Sprint(limit.Seconds()), disk+".lock", "true").CombinedOutput(); err != nil {
		t.Fatalf("machine %d is still there: %v\n%s", m.Number, err, out)
	}
	if c, err := net.DialTimeout("tcp", m.Addr, time.Second); err == nil {
		c.Close()
		t.Errorf("%s still answers", m.Addr)
	}
	if _, err := os.Stat(disk); !os.IsNotExist(err) {
		t.Errorf("the disk is left: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || bytes.Contains(mounts, []byte(disk)) {
		t.Errorf("a mount is left, or %v:\n%s", err, mounts)
	}
	groups, err := exec.Command("find", "/sys/fs/cgroup", "-name", fmt.Sprintf("fabgo-machines-m%d", m.Number)).Output()
	if err != nil || len(groups) > 0 {
		t.Errorf("a control group is left, or %v: %s", err, groups)
	}
}

// login runs a command as a user and returns all it said, its errors included.
func login(t *testing.T, m *machines.Machine, user, cmd, stdin string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(m.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ssh := exec.Command("ssh", "-F", "none", "-p", port, "-i", m.KeyFile, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "ConnectTimeout=10", "-o", "GlobalKnownHostsFile=none", "-o", "UserKnownHostsFile="+m.KnownHostsFile, user+"@"+host, cmd)
	ssh.Stdin = strings.NewReader(stdin)
	out, _ := ssh.CombinedOutput()
	return string(out)
}

func get(t *testing.T, m *machines.Machine) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	r, err := client.Get("http://" + m.Host() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
