package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"fabgo/internal/sshd"
	"fabgo/transport"
)

// far is a server of a test, and what is needed to log in to it.
type far struct {
	*sshd.Server
	addr string // where there is no Server
	dir  string // a folder of the test
	opts Options
	user string
}

// testKey makes a key file and its signer.
func testKey(t testing.TB, name string) (file string, signer ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err = ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return name, signer
}

// isolate gives a test a home folder of its own. The user's is kept out of all of them by TestMain.
func isolate(t testing.TB) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	return home
}

// serve starts a server that a fresh key may log in to and that known_hosts knows.
func serve(t testing.TB, o sshd.Options) *far {
	t.Helper()
	dir := t.TempDir()
	key, signer := testKey(t, filepath.Join(dir, "key"))
	if o.AuthorizedKeys == nil {
		o.AuthorizedKeys = []ssh.PublicKey{signer.PublicKey()}
	}
	s, err := sshd.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &far{Server: s, dir: dir, user: "root", opts: Options{
		Config: "none", Identities: []string{key}, KnownHosts: filepath.Join(dir, "known_hosts"), HostKeys: StrictHostKey,
		Timeouts: Timeouts{KeyExchange: 20 * time.Second, Auth: 20 * time.Second, Channel: 20 * time.Second, Request: 20 * time.Second},
	}}
	f.know(t, s.Addr(), s.HostKey())
	return f
}

func (f *far) know(t testing.TB, addr string, key ssh.PublicKey) {
	t.Helper()
	file, err := os.OpenFile(f.opts.KnownHosts, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	host, port, _ := net.SplitHostPort(addr)
	fmt.Fprintf(file, "[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(key))
}

func (f *far) target() string {
	if f.Server == nil {
		return f.user + "@" + f.addr
	}
	return f.user + "@" + f.Addr()
}

// lineWriter waits for words in a program's log.
type lineWriter struct {
	t   testing.TB
	mu  sync.Mutex
	log []byte
	got chan struct{}
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, p...)
	if w.got != nil {
		close(w.got)
		w.got = nil
	}
	return len(p), nil
}

func (w *lineWriter) wait(t testing.TB, words string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		w.mu.Lock()
		if strings.Contains(string(w.log), words) {
			w.mu.Unlock()
			return
		}
		if w.got == nil {
			w.got = make(chan struct{})
		}
		got := w.got
		w.mu.Unlock()
		select {
		case <-got:
		case <-limit:
			t.Fatalf("no %q in the log:\n%s", words, w.log)
		}
	}
}

func (f *far) dial(t testing.TB) *Host {
	t.Helper()
	h, err := f.try(t)
	if err != nil {
		t.Fatalf("Dial: %v", explain(err))
	}
	return h
}

func (f *far) try(t testing.TB) (*Host, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	h, err := Dial(ctx, f.target(), f.opts)
	if err == nil {
		t.Cleanup(func() { h.Close() })
	}
	return h, err
}

func explain(err error) string {
	if err == nil {
		return "<nil>"
	}
	s := err.Error()
	s += fmt.Sprintf(" [%s]", transport.KindOf(err))
	return s
}

// wantKind checks the kind of an error and what its message says.
func wantKind(t testing.TB, err error, kind transport.Kind, words ...string) {
	t.Helper()
	if got := transport.KindOf(err); got != kind {
		t.Fatalf("kind %q, want %q: %v", got, kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("message %q does not say %q", err, w)
		}
	}
}

func run(t testing.TB, h transport.Host, op transport.Exec) transport.Output {
	t.Helper()
	out, err := transport.Do[transport.Output](t.Context(), h, op)
	if err != nil {
		t.Fatalf("%v: %s", op.Argv, explain(err))
	}
	return out
}

func argv(s ...string) transport.Exec { return transport.Exec{Argv: transport.Texts(s...)} }
