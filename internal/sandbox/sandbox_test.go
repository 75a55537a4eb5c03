//go:build linux

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

// TestMain lets the test binary be the sandbox's first process, as fabgo is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		if err := Child(os.Args[2:]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	parts := map[string]func(){asUser: userMain, asParent: parentMain, asRefused: refusedMain, asMounter: mounterMain}
	if len(os.Args) == 2 && parts[os.Args[1]] != nil {
		parts[os.Args[1]]()
		return
	}
	goleak.VerifyTestMain(m)
}

// The other parts that the test binary plays.
const (
	asUser    = "fabgo-test-as-user"
	asParent  = "fabgo-test-as-parent"
	asRefused = "fabgo-test-as-refused"
	asMounter = "fabgo-test-as-mounter"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the overlay of / is made by root")
	}
}

func start(t *testing.T, o Options) *Sandbox {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sb, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sb.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return sb
}

func dial(sb *Sandbox) (*ssh.Client, error) {
	return ssh.Dial("tcp", sb.Addr, &ssh.ClientConfig{
		User: sb.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(sb.Signer)},
		HostKeyCallback: ssh.FixedHostKey(sb.HostKey), Timeout: 10 * time.Second,
	})
}

// sh runs a script inside and returns what it wrote to both outputs.
func (s *Sandbox) sh(script string) (string, error) {
	c, err := dial(s)
	if err != nil {
		return "", err
	}
	defer c.Close()
	sess, err := c.NewSession()
	if err != nil {
		return "", err
	}
	defer sess.Close()
	out, err := sess.CombinedOutput(script)
	return string(out), err
}

// want runs a script inside that has to succeed and to write exactly this.
func (s *Sandbox) want(t *testing.T, script, out string) {
	t.Helper()
	got, err := s.sh(script)
	if err != nil || got != out {
		t.Errorf("%s\n got %q, %v\nwant %q", script, got, err, out)
	}
}

// fails runs a script inside that must not succeed.
func (s *Sandbox) fails(t *testing.T, script string) {
	t.Helper()
	var exit *ssh.ExitError
	if out, err := s.sh(script); !errors.As(err, &exit) {
		t.Errorf("%s\nwas possible: %q, %v", script, out, err)
	}
}

// machine is what of the real machine a sandbox might have changed.
func machine(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	for _, f := range []string{"/proc/self/mountinfo", "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/var/lib/dpkg/status", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/sys/vm/swappiness"} {
		content, err := os.ReadFile(f)
		fmt.Fprintf(&b, "== %s %v\n%s", f, err != nil, content)
		if st, err := os.Stat(f); err == nil && !strings.HasPrefix(f, "/proc") {
			fmt.Fprintln(&b, st.Mode(), st.ModTime(), st.Size())
		}
	}
	for _, dir := range []string{"/", "/etc", "/usr/bin", "/usr/sbin", "/var/lib/dpkg/info", "/home", "/dev"} {
		list, err := os.ReadDir(dir)
		fmt.Fprintf(&b, "== %s %v\n", dir, err != nil)
		for _, e := range list {
			if st, err := e.Info(); err == nil {
				fmt.Fprintln(&b, e.Name(), st.Mode())
			}
		}
	}
	return b.String()
}

// processes lists the real machine's processes that run the sandbox's stages.
func processes(t *testing.T, stage string) (pids []string) {
	t.Helper()
	all, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if bytes.Contains(cmdline, []byte(stage)) {
			pids = append(pids, e.Name())
		}
	}
	return pids
}
