package ssh

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"golang.org/x/crypto/ssh"

	"fabgo/transport"
)

// The test binary is also the program of a ProxyCommand, and a client in a network of its own.
func TestMain(m *testing.M) {
	if addr := os.Getenv("FABGO_TEST_PIPE_TO"); addr != "" {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			os.Exit(1)
		}
		go func() { io.Copy(c, os.Stdin); c.(*net.TCPConn).CloseWrite() }()
		io.Copy(os.Stdout, c)
		os.Exit(0)
	}
	if target := os.Getenv("FABGO_TEST_DIAL"); target != "" {
		_, err := Dial(context.Background(), target, Options{Config: "none", HostKeys: StrictHostKey})
		e, _ := errors.AsType[*transport.Error](err)
		fmt.Printf("%s: %v; %s\n", transport.KindOf(err), err, e.Hint)
		os.Exit(0)
	}
	os.Exit(alone(m))
}

// alone runs the tests without the user's own ssh settings.
func alone(m *testing.M) int {
	home, err := os.MkdirTemp("", "fabgo-ssh-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(home)
	os.Setenv("HOME", home)
	os.Setenv("SSH_AUTH_SOCK", "")
	return m.Run()
}

func hostKeys(t testing.TB) (keys []ssh.Signer) {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []any{ec, rs, ed} {
		s, err := ssh.NewSignerFromKey(k)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, s)
	}
	return keys
}
