package ssh

import (
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"fabgo/internal/sshd"
	"fabgo/transport"
	"fabgo/transport/hosttest"
)

// machine is this machine, reached through a host. Most suites are slow ones, which leave out what one of them tries in full: OpenSSH's.
func machine(t *testing.T, h *Host, root bool) hosttest.Target {
	dir := t.TempDir()
	return hosttest.Target{Host: h, Root: transport.Path(dir), AsRoot: root, Other: "nobody", Processes: true, Taps: true, Slow: true}.Machine(t, false)
}

func TestConformance(t *testing.T) {
	root := os.Geteuid() == 0
	suite := func(name string, open func(t *testing.T) hosttest.Target) {
		t.Run(name, func(t *testing.T) {
			if name != "User" && name != "Sudo" { // these two share an account
				t.Parallel()
			}
			hosttest.Run(t, open)
		})
	}
	suite("SFTP", func(t *testing.T) hosttest.Target { return machine(t, serve(t, sshd.Options{}).dial(t), root) })
	suite("NoSFTP", func(t *testing.T) hosttest.Target { // F25
		return machine(t, serve(t, sshd.Options{NoSFTP: true}).dial(t), root)
	})
	suite("OneSession", func(t *testing.T) hosttest.Target { // F17
		return machine(t, serve(t, sshd.Options{MaxSessions: 1}).dial(t), root)
	})
	suite("Jump", func(t *testing.T) hosttest.Target {
		jump, far := serve(t, sshd.Options{}), serve(t, sshd.Options{})
		far.opts.Identities = append(far.opts.Identities, jump.opts.Identities...)
		far.know(t, jump.Addr(), jump.HostKey())
		far.opts.Jump = jump.target()
		return machine(t, far.dial(t), root)
	})
	suite("OpenSSH", func(t *testing.T) hosttest.Target {
		target := machine(t, openssh(t, "root", "").dial(t), true)
		target.Slow = false
		return target
	})
	suite("Busybox", func(t *testing.T) hosttest.Target { // F31
		f := busybox(t)
		f.mountProc(t)
		return hosttest.Target{Host: f.dial(t), Root: "/t", AsRoot: true, Slow: true} // it has nothing to run commands as another account with
	})
	suite("User", func(t *testing.T) hosttest.Target {
		h := openssh(t, account1(t), "").dial(t)
		target := hosttest.Target{Host: h, Processes: true, Taps: true, Slow: true}.Machine(t, false)
		target.Root = userFolder(t, h)
		target.Small, target.ReadOnly = nil, nil // they are below folders of root's
		return target
	})
	suite("Sudo", func(t *testing.T) hosttest.Target {
		name := account1(t)
		sudoers(t, name, "NOPASSWD: ALL")
		f := openssh(t, name, "")
		f.opts.Sudo = true
		return machine(t, f.dial(t), true)
	})
}

// account1 makes an ordinary account that logs in with a shell. Its number is none that useradd hands out: other packages are tested meanwhile,
// some on copies of this machine, and see it come and go.
func account1(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make an account")
	}
	const name = "fabgo-test"
	if _, err := user.Lookup(name); err != nil {
		command(t, "useradd", "--uid", "61711", "--create-home", "--shell", "/bin/bash", "--password", "*", name)
		t.Cleanup(func() {
			for range 3 { // processes of the account may need a moment to go
				if exec.Command("userdel", "--remove", "--force", name).Run() == nil {
					break
				}
			}
		})
	}
	return name
}

func command(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
}

// userFolder is an empty folder of the account.
func userFolder(t *testing.T, h *Host) transport.Path {
	t.Helper()
	out := run(t, h, argv("mktemp", "-d"))
	p, err := transport.NewPath(strings.TrimSpace(string(out.Stdout)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(string(p)) })
	return p
}

// sudoers lets an account use sudo.
func sudoers(t *testing.T, name, rule string) {
	t.Helper()
	if _, err := exec.LookPath("sudo"); err != nil {
		t.Skip("sudo is not installed")
	}
	file := "/etc/sudoers.d/" + name
	if err := os.WriteFile(file, []byte(name+" ALL=(ALL) "+rule+"\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(file) })
}

// openssh starts OpenSSH's own server on a loopback port.
func openssh(t *testing.T, name, config string) *far {
	t.Helper()
	const program = "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		t.Skip("OpenSSH's server is not installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("OpenSSH's server has to run as root")
	}
	dir := t.TempDir()
	f := &far{dir: dir, user: name, opts: Options{Config: "none", KnownHosts: filepath.Join(dir, "known_hosts"), HostKeys: StrictHostKey}}
	key, signer := testKey(t, filepath.Join(dir, "key"))
	f.opts.Identities = []string{key}
	hostKey, hostSigner := testKey(t, filepath.Join(dir, "host_key"))
	// sshd wants a file that the account can read, in folders that only root can write.
	authorized, err := os.MkdirTemp("/run", "fabgo-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(authorized) })
	os.Chmod(authorized, 0o755)
	if err := os.WriteFile(authorized+"/keys", ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o644); err != nil {
		t.Fatal(err)
	}
	os.MkdirAll("/run/sshd", 0o755)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf := filepath.Join(dir, "sshd_config")
	// SHLVL keeps bash from reading what this machine's accounts have in their profiles.
	text := "Port " + strconv.Itoa(port) + "\nListenAddress 127.0.0.1\nHostKey " + hostKey + "\nAuthorizedKeysFile " + authorized + "/keys\n" +
		"PidFile none\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nSubsystem sftp /usr/lib/openssh/sftp-server\nMaxStartups 100\nSetEnv SHLVL=2\n" + config
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &lineWriter{t: t}
	cmd := exec.Command(program, "-D", "-e", "-f", conf)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	f.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	f.know(t, f.addr, hostSigner.PublicKey())
	log.wait(t, "Server listening")
	return f
}
