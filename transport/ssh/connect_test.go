package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"fabgo/internal/sshd"
	"fabgo/transport"
)

// person answers prompts.
type person struct {
	yes       bool
	secret    string
	mu        sync.Mutex
	texts     []string
	active    atomic.Int32
	mostAtOne atomic.Int32
}

func (p *person) asked(text string) func() {
	if n := p.active.Add(1); n > p.mostAtOne.Load() {
		p.mostAtOne.Store(n)
	}
	p.mu.Lock()
	p.texts = append(p.texts, text)
	p.mu.Unlock()
	return func() { p.active.Add(-1) }
}

func (p *person) Confirm(_ context.Context, text string) (bool, error) {
	defer p.asked(text)()
	time.Sleep(10 * time.Millisecond) // a person thinks: others must wait meanwhile
	return p.yes, nil
}

func (p *person) Password(_ context.Context, text string) ([]byte, error) {
	defer p.asked(text)()
	return []byte(p.secret), nil
}

func soon() Timeouts {
	d := 300 * time.Millisecond
	return Timeouts{KeyExchange: d, Auth: d, Channel: d, Request: d}
}

func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	begin := time.Now()
	f()
	if d := time.Since(begin); d > limit {
		t.Errorf("it took %s, more than %s", d, limit)
	}
}

func TestF06MuteServer(t *testing.T) {
	f := serve(t, sshd.Options{Faults: func(int) sshd.Faults { return sshd.Faults{Mute: true} }})
	f.opts.ConnectTimeout = 300 * time.Millisecond
	within(t, 5*time.Second, func() {
		_, err := f.try(t)
		wantKind(t, err, transport.Unreachable, "greeting", "300ms")
	})
}

func TestF08EveryStageHasItsDeadline(t *testing.T) {
	for _, tt := range []struct {
		stage sshd.Stage
		says  string
	}{{sshd.AtKEX, "key exchange"}, {sshd.AtAuth, "authentication"}, {sshd.AtChannelOpen, "open a channel"}, {sshd.AtExec, "look at the account"}} {
		t.Run(strings.ReplaceAll(tt.says, " ", "-"), func(t *testing.T) {
			f := serve(t, sshd.Options{Faults: func(int) sshd.Faults { return sshd.Faults{Silent: tt.stage} }})
			f.opts.Timeouts = soon()
			within(t, 10*time.Second, func() {
				_, err := f.try(t)
				wantKind(t, err, transport.Unreachable, tt.says, "300ms")
			})
		})
	}
}

func TestF09ClosedPortIsImmediate(t *testing.T) {
	f := serve(t, sshd.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	within(t, 2*time.Second, func() {
		_, err := Dial(t.Context(), "root@"+l.Addr().String(), f.opts)
		wantKind(t, err, transport.Unreachable, "connection refused")
	})
}

// TestF09NoWay: in a network where no way leads to the host, or something on it says no, nothing is waited for.
func TestF09NoWay(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("unshare", "-n", "true").CombinedOutput(); err != nil {
		t.Skipf("no network can be made here: %v: %s", err, out)
	}
	for _, tt := range []struct{ name, setup, says, hint string }{
		{"no network", "true", "network is unreachable", "no way leads"},
		{"unreachable", "ip link set lo up; ip route add unreachable 203.0.113.0/24", "no route to host", "no way leads"},
		{"prohibited", "ip link set lo up; ip route add prohibit 203.0.113.0/24", "permission denied", "a firewall"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := exec.LookPath("ip"); tt.setup != "true" && err != nil {
				t.Skip("there is no ip program to make routes with")
			}
			cmd := exec.Command("unshare", "-n", "sh", "-c", tt.setup+`; exec "$0"`, self)
			cmd.Env = append(os.Environ(), "FABGO_TEST_DIAL=root@203.0.113.1")
			within(t, 10*time.Second, func() {
				out, err := cmd.CombinedOutput()
				if got := string(out); err != nil || !strings.HasPrefix(got, "unreachable: ") || !strings.Contains(got, tt.says) || !strings.Contains(got, tt.hint) {
					t.Errorf("%v: %s", err, out)
				}
			})
		})
	}
}

func TestCancelEndsDial(t *testing.T) {
	f := serve(t, sshd.Options{Faults: func(int) sshd.Faults { return sshd.Faults{Mute: true} }})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	within(t, 5*time.Second, func() {
		_, err := Dial(ctx, f.target(), f.opts)
		wantKind(t, err, transport.Interrupted)
	})
}

func TestF12HostKeyChanged(t *testing.T) {
	f := serve(t, sshd.Options{})
	old, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(f.opts.KnownHosts)
	f.know(t, f.Addr(), old.PublicKey())
	for _, policy := range []HostKeyPolicy{AskHostKey, StrictHostKey, AcceptNewHostKey} {
		f.opts.HostKeys, f.opts.Prompter = policy, &person{yes: true}
		_, err = f.try(t)
		wantKind(t, err, transport.HostKey, ssh.FingerprintSHA256(old.PublicKey()), ssh.FingerprintSHA256(f.HostKey()), f.opts.KnownHosts+":1")
	}
	if n := f.Stats().AuthAttempts; n != 0 {
		t.Errorf("%d attempts to authenticate", n)
	}
}

func TestF13UnknownHost(t *testing.T) {
	f := serve(t, sshd.Options{})
	fresh := func(t *testing.T, policy HostKeyPolicy, p Prompter) *Shared {
		os.Remove(f.opts.KnownHosts)
		f.opts.HostKeys, f.opts.Prompter, f.opts.Shared = policy, p, &Shared{}
		return f.opts.Shared
	}
	t.Run("no terminal", func(t *testing.T) {
		fresh(t, AskHostKey, nil)
		_, err := f.try(t)
		wantKind(t, err, transport.HostKey, "unknown", ssh.FingerprintSHA256(f.HostKey()))
		if e, _ := errors.AsType[*transport.Error](err); !strings.Contains(e.Hint, "accept-new") {
			t.Errorf("hint %q", e.Hint)
		}
		if n := f.Stats().AuthAttempts; n != 0 {
			t.Errorf("%d attempts to authenticate", n)
		}
	})
	t.Run("no", func(t *testing.T) {
		fresh(t, AskHostKey, &person{})
		_, err := f.try(t)
		wantKind(t, err, transport.HostKey, "not accepted")
		if _, err := os.Stat(f.opts.KnownHosts); err == nil {
			t.Error("a refused key was kept")
		}
	})
	for name, p := range map[string]*person{"ask": {yes: true}, "accept-new": nil} {
		t.Run(name+", many at once", func(t *testing.T) {
			policy, prompter := AcceptNewHostKey, Prompter(nil)
			if p != nil {
				policy, prompter = AskHostKey, p
			}
			fresh(t, policy, prompter)
			const before = "# a last line without its end"
			if err := os.WriteFile(f.opts.KnownHosts, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
			ep, err := Resolve(f.target(), f.opts)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					v := &verifier{ep: ep.withDefaults(), opts: f.opts, shared: f.opts.Shared}
					if err := v.check(t.Context(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, f.HostKey()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			b, _ := os.ReadFile(f.opts.KnownHosts)
			if lines := strings.Split(strings.TrimSpace(string(b)), "\n"); len(lines) != 2 || lines[0] != before {
				t.Errorf("known_hosts holds %d lines:\n%s", len(lines), b)
			}
			if p != nil && (len(p.texts) != 1 || p.mostAtOne.Load() != 1 || !strings.Contains(p.texts[0], ssh.FingerprintSHA256(f.HostKey()))) {
				t.Errorf("asked %d times, %d at once: %q", len(p.texts), p.mostAtOne.Load(), p.texts)
			}
			f.opts.HostKeys, f.opts.Prompter = StrictHostKey, nil
			f.dial(t)
		})
	}
	t.Run("hashed", func(t *testing.T) {
		shared := fresh(t, AcceptNewHostKey, nil)
		ep, err := Resolve(f.target(), f.opts)
		if err != nil {
			t.Fatal(err)
		}
		ep.HashKnownHosts = true
		h, err := DialEndpoint(t.Context(), ep, f.opts)
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
		if b, _ := os.ReadFile(f.opts.KnownHosts); !strings.HasPrefix(string(b), "|1|") {
			t.Errorf("%s", b)
		}
		ep.HostKeys, f.opts.Shared = StrictHostKey, shared
		if h, err = DialEndpoint(t.Context(), ep, f.opts); err != nil {
			t.Fatal(err)
		}
		h.Close()
	})
}

func TestF14OneOfSeveralHostKeysIsKnown(t *testing.T) {
	keys := hostKeys(t)
	f := serve(t, sshd.Options{HostKeys: keys})
	for _, k := range keys {
		os.Remove(f.opts.KnownHosts)
		f.know(t, f.Addr(), k.PublicKey())
		if h, err := f.try(t); err != nil {
			t.Errorf("only %s is known: %v", k.PublicKey().Type(), err)
		} else {
			h.Close()
		}
	}
	// A line of a type that this version cannot read, and one that no version can, spoil nothing.
	b, _ := os.ReadFile(f.opts.KnownHosts)
	os.WriteFile(f.opts.KnownHosts, append([]byte("host ssh-future AAAA\nbroken\n"), b...), 0o600)
	f.dial(t)
}

func TestRevokedAndAuthorities(t *testing.T) {
	ca, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	f := serve(t, sshd.Options{HostKeys: []ssh.Signer{signer}})
	line := func(marker string, k ssh.PublicKey) {
		os.WriteFile(f.opts.KnownHosts, []byte(marker+" [127.0.0.1]:* "+string(ssh.MarshalAuthorizedKey(k))), 0o600)
	}
	_, port, _ := net.SplitHostPort(f.Addr())
	os.WriteFile(f.opts.KnownHosts, []byte("@cert-authority [127.0.0.1]:"+port+" "+string(ssh.MarshalAuthorizedKey(ca.PublicKey()))), 0o600)
	f.dial(t)
	line("@revoked", key.PublicKey())
	os.WriteFile(f.opts.KnownHosts, []byte("@revoked * "+string(ssh.MarshalAuthorizedKey(key.PublicKey()))), 0o600)
	g := serve(t, sshd.Options{HostKeys: []ssh.Signer{key}})
	b, _ := os.ReadFile(f.opts.KnownHosts)
	known, _ := os.ReadFile(g.opts.KnownHosts)
	os.WriteFile(g.opts.KnownHosts, append(b, known...), 0o600)
	_, err = g.try(t)
	wantKind(t, err, transport.HostKey, "revoked", g.opts.KnownHosts+":1")
	if n := g.Stats().AuthAttempts; n != 0 {
		t.Errorf("%d attempts to authenticate", n)
	}
}

func TestF16KeyChangesBeforeReconnect(t *testing.T) {
	f := serve(t, sshd.Options{})
	h := f.dial(t)
	other, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(f.opts.KnownHosts)
	f.know(t, f.Addr(), other.PublicKey())
	f.Cut()
	_, err = h.Do(t.Context(), transport.Stat{Path: "/"})
	wantKind(t, err, transport.HostKey)
}

func TestF18LoginBudget(t *testing.T) {
	var now, most atomic.Int32
	f := serve(t, sshd.Options{Password: func(string, string) bool {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(20 * time.Millisecond) // so that logins overlap
		now.Add(-1)
		return true
	}, AuthorizedKeys: []ssh.PublicKey{}})
	f.opts.Prompter, f.opts.Shared = &person{secret: "x"}, &Shared{}
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if h, err := Dial(t.Context(), f.target(), f.opts); err != nil {
				t.Error(err)
			} else {
				h.Close()
			}
		})
	}
	wg.Wait()
	if most.Load() > loginsPerAddress {
		t.Errorf("%d logins at once", most.Load())
	}
}

func TestF18RetriesWhenTurnedAway(t *testing.T) {
	f := serve(t, sshd.Options{Faults: func(n int) sshd.Faults {
		if n < 2 {
			return sshd.Faults{CutAfterWritten: 1}
		}
		return sshd.Faults{}
	}})
	f.dial(t)
	if n := f.Stats().Connections; n != 3 {
		t.Errorf("%d connections", n)
	}
}

func TestF26ForcedCommand(t *testing.T) {
	f := serve(t, sshd.Options{ForceCommand: "echo 'This service allows sftp connections only.'; exit 1"})
	_, err := f.try(t)
	wantKind(t, err, transport.Auth, "sftp connections only")
}

func TestF79JumpHosts(t *testing.T) {
	jump := serve(t, sshd.Options{})
	second := serve(t, sshd.Options{})
	far := serve(t, sshd.Options{})
	far.opts.Identities = append(append(far.opts.Identities, jump.opts.Identities...), second.opts.Identities...)
	far.know(t, jump.Addr(), jump.HostKey())
	far.know(t, second.Addr(), second.HostKey())
	far.opts.Jump = jump.target() + "," + second.target()
	h := far.dial(t)
	if out := run(t, h, argv("echo", "through")); out.Stdout != "through\n" {
		t.Errorf("%+v", out)
	}
	if jump.Stats().Logins != 1 || second.Stats().Logins != 1 {
		t.Error("not through the jump hosts")
	}
	t.Run("wrong key", func(t *testing.T) {
		bad := far.opts
		bad.KnownHosts = filepath.Join(t.TempDir(), "known_hosts")
		_, err := Dial(t.Context(), far.target(), bad)
		wantKind(t, err, transport.HostKey, "jump host", jump.Addr())
	})
	t.Run("no forwarding", func(t *testing.T) {
		closed := serve(t, sshd.Options{NoForwarding: true})
		far.opts.Identities = append(far.opts.Identities, closed.opts.Identities...)
		far.know(t, closed.Addr(), closed.HostKey())
		far.opts.Jump = closed.target()
		_, err := Dial(t.Context(), far.target(), far.opts)
		wantKind(t, err, transport.Unreachable, "does not forward", closed.Addr())
	})
	t.Run("down", func(t *testing.T) {
		far.opts.Jump = "root@127.0.0.1:1"
		_, err := Dial(t.Context(), far.target(), far.opts)
		wantKind(t, err, transport.Unreachable, "jump host", "127.0.0.1:1")
	})
}

func TestProxyCommand(t *testing.T) {
	f := serve(t, sshd.Options{})
	ep, err := Resolve(f.target(), f.opts)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FABGO_TEST_PIPE_TO", f.Addr())
	ep.ProxyCommand = shellWord(self)
	h, err := DialEndpoint(t.Context(), ep, f.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	run(t, h, argv("true"))
	ep.ProxyCommand = "echo gone >&2; exit 3"
	_, err = DialEndpoint(t.Context(), ep, f.opts)
	wantKind(t, err, transport.Unreachable, "ProxyCommand")
}
