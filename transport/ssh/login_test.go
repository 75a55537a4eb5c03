package ssh

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"fabgo/internal/sshd"
	"fabgo/transport"
)

func TestRefusedLoginIsNotRepeated(t *testing.T) {
	f := serve(t, sshd.Options{AuthorizedKeys: []ssh.PublicKey{}})
	_, err := f.try(t)
	wantKind(t, err, transport.Auth, "refuses", "key")
	if n := f.Stats().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestPasswords(t *testing.T) {
	t.Run("right", func(t *testing.T) {
		f := serve(t, sshd.Options{AuthorizedKeys: []ssh.PublicKey{}, Password: func(_, p string) bool { return p == "right" }})
		p := &person{secret: "right"}
		f.opts.Prompter, f.opts.Shared = p, &Shared{}
		h := f.dial(t)
		f.Cut()
		run(t, h, argv("true")) // reconnects without asking again
		if len(p.texts) != 1 {
			t.Errorf("asked %q", p.texts)
		}
	})
	t.Run("wrong", func(t *testing.T) {
		f := serve(t, sshd.Options{AuthorizedKeys: []ssh.PublicKey{}, Password: func(_, p string) bool { return p == "right" },
			KeyboardInteractive: func(_ string, ask ssh.KeyboardInteractiveChallenge) (bool, error) {
				a, err := ask("", "", []string{"Password: "}, []bool{false})
				return err == nil && len(a) == 1 && a[0] == "right", err
			}})
		p := &person{secret: "wrong"}
		f.opts.Prompter = p
		_, err := f.try(t)
		wantKind(t, err, transport.Auth)
		if len(p.texts) != 1 {
			t.Errorf("asked %q", p.texts)
		}
	})
}

func TestEncryptedKeyIsAskedForOnce(t *testing.T) {
	dir := isolate(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("open"))
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := ssh.NewSignerFromKey(private)
	shared, p := &Shared{}, &person{secret: "open"}
	for range 2 {
		f := serve(t, sshd.Options{AuthorizedKeys: []ssh.PublicKey{signer.PublicKey()}})
		file := filepath.Join(dir, "locked")
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		f.opts.Identities, f.opts.Shared = []string{file}, shared
		_, err = f.try(t)
		if len(p.texts) == 0 {
			wantKind(t, err, transport.Auth, "encrypted")
			shared = &Shared{}
			f.opts.Shared = shared
		}
		f.opts.Prompter = p
		f.dial(t)
	}
	if len(p.texts) != 1 || !strings.Contains(p.texts[0], "locked") {
		t.Errorf("asked %q", p.texts)
	}
}

func TestF22ExpiredCertificate(t *testing.T) {
	ca, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	f := serve(t, sshd.Options{AuthorizedKeys: []ssh.PublicKey{}, UserCA: ca.PublicKey()})
	_, signer := testKey(t, f.opts.Identities[0])
	issue := func(until time.Time) {
		cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"root"}, ValidBefore: uint64(until.Unix())}
		if err := cert.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(f.opts.Identities[0]+"-cert.pub", ssh.MarshalAuthorizedKey(cert), 0o600)
	}
	issue(time.Now().Add(time.Hour))
	f.dial(t)
	issue(time.Now().Add(-time.Hour))
	_, err = f.try(t)
	wantKind(t, err, transport.Auth, "expired on", "-cert.pub")
}

func TestF23AccountCannotRunCommands(t *testing.T) {
	for name, tt := range map[string]struct {
		faults sshd.Faults
		says   string
	}{
		"nologin": {sshd.Faults{NoLogin: "This account is currently not available."}, "currently not available"},
		"expired": {sshd.Faults{NoLogin: "Password change required but no TTY available."}, "Password change required"},
		"locked":  {sshd.Faults{Denied: "Your account has expired."}, "Your account has expired"},
		"no exec": {sshd.Faults{RefuseExec: true}, "refuses to run commands"},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, sshd.Options{Faults: func(int) sshd.Faults { return tt.faults }})
			_, err := f.try(t)
			wantKind(t, err, transport.Auth, tt.says)
			if n := f.Stats().Connections; n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// serveAgent puts an agent behind a socket and names it.
func serveAgent(t *testing.T, keys agent.Agent) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); agent.ServeAgent(keys, c) }()
		}
	}()
	return l.Addr().String()
}

func agentWith(t *testing.T, n int) (agent.Agent, []ssh.PublicKey) {
	t.Helper()
	held := agent.NewKeyring()
	var pubs []ssh.PublicKey
	for range n {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := held.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			t.Fatal(err)
		}
		s, _ := ssh.NewSignerFromKey(private)
		pubs = append(pubs, s.PublicKey())
	}
	return held, pubs
}

func TestAgent(t *testing.T) {
	held, pubs := agentWith(t, 3)
	socket := serveAgent(t, held)
	t.Run("its keys are offered", func(t *testing.T) {
		f := serve(t, sshd.Options{AuthorizedKeys: pubs[2:]})
		t.Setenv("SSH_AUTH_SOCK", socket)
		f.dial(t)
	})
	t.Run("a public key chooses", func(t *testing.T) {
		f := serve(t, sshd.Options{AuthorizedKeys: pubs[2:]})
		t.Setenv("SSH_AUTH_SOCK", socket)
		public := filepath.Join(f.dir, "chosen.pub")
		if err := os.WriteFile(public, ssh.MarshalAuthorizedKey(pubs[2]), 0o644); err != nil {
			t.Fatal(err)
		}
		conf := filepath.Join(f.dir, "config")
		if err := os.WriteFile(conf, []byte("IdentitiesOnly yes\nIdentityFile "+public+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f.opts.Config, f.opts.Identities = conf, nil
		f.dial(t)
		if n := f.Stats().AuthAttempts; n > 2 { // asked whether it is welcome, and signed
			t.Errorf("%d attempts: other keys were offered", n)
		}
	})
	t.Run("it is not needed", func(t *testing.T) {
		f := serve(t, sshd.Options{})
		t.Setenv("SSH_AUTH_SOCK", filepath.Join(f.dir, "nobody"))
		f.dial(t)
	})
	t.Run("it is not there", func(t *testing.T) {
		f := serve(t, sshd.Options{AuthorizedKeys: pubs})
		t.Setenv("SSH_AUTH_SOCK", filepath.Join(f.dir, "nobody"))
		_, err := f.try(t)
		wantKind(t, err, transport.Auth, "no answer from the agent")
	})
	t.Run("OpenSSH's", func(t *testing.T) {
		if _, err := exec.LookPath("ssh-agent"); err != nil {
			t.Skip("ssh-agent is not installed")
		}
		f := serve(t, sshd.Options{})
		socket := filepath.Join(filepath.Dir(socket), "openssh")
		cmd := exec.Command("ssh-agent", "-D", "-a", socket)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		t.Setenv("SSH_AUTH_SOCK", socket)
		add := func() error { return exec.Command("ssh-add", "-q", f.opts.Identities[0]).Run() }
		for end := time.Now().Add(10 * time.Second); add() != nil; time.Sleep(20 * time.Millisecond) { // no event tells that it listens
			if time.Now().After(end) {
				t.Fatal("ssh-add does not reach ssh-agent")
			}
		}
		if err := os.Remove(f.opts.Identities[0]); err != nil {
			t.Fatal(err)
		}
		f.dial(t)
	})
}

func TestF89LegacyIsAskedFor(t *testing.T) {
	f := openssh(t, "root", "KexAlgorithms diffie-hellman-group14-sha1\nCiphers aes128-cbc\nMACs hmac-sha1\n")
	_, err := f.try(t)
	wantKind(t, err, transport.Protocol, "no common algorithm")
	f.opts.Legacy = true
	run(t, f.dial(t), argv("true"))
}
