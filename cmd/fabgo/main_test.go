package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"fabgo/internal/helper"
	"fabgo/internal/sandbox"
	"fabgo/internal/sshd"
)

// TestMain lets the test binary be fabgo: called by that name, or as the sandbox executes itself.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "fabgo" || len(os.Args) > 1 && (os.Args[1] == sandbox.Command || os.Args[1] == helper.Command) {
		main()
	}
	if len(os.Args) == 3 && os.Args[1] == relay {
		if err := relayTo(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 3 && os.Args[1] == liar {
		if err := lie(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// relay makes the test binary a ProxyCommand: nc HOST PORT.
const relay = "relay-to"

func relayTo(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(c, os.Stdin) }()
	_, err = io.Copy(os.Stdout, c)
	return err
}

// install puts the test binary into a folder as fabgo.
func install(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Symlink(self, filepath.Join(dir, "fabgo"))
}

// hostState makes the folder of a host's fabgo, with the helper in it, and returns what tells the host of it: hosts of tests are one
// machine, and each is to have its own.
func hostState(dir string) (env string, err error) {
	helperOnce.Do(func() {
		var b []byte
		if helperFile, helperErr = os.Executable(); helperErr != nil {
			return
		}
		if b, helperErr = os.ReadFile(helperFile); helperErr == nil {
			helperName = fmt.Sprintf("fabgo-%x", sha256.Sum256(b))[:len("fabgo-")+32]
		}
	})
	if helperErr != nil {
		return "", helperErr
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return "", err
	}
	if err := os.Symlink(helperFile, filepath.Join(bin, helperName)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return helper.StateEnv + "=" + dir, nil
}

var (
	helperOnce             sync.Once
	helperFile, helperName string
	helperErr              error
)

// writeKey makes a private key, encrypted when there is a passphrase.
func writeKey(file, passphrase string) (ssh.PublicKey, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(priv, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(priv, "test", []byte(passphrase))
	}
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(pub)
}

// configure names a server in the ssh_config and, unless it is to be unknown, in the known_hosts of a home.
func configure(home, name string, s *sshd.Server, known bool) error {
	host, port, _ := strings.Cut(s.Addr(), ":")
	block := fmt.Sprintf("Host %s\n  HostName %s\n  Port %s\n  User somebody\n", name, host, port)
	if err := add(filepath.Join(home, ".ssh", "config"), block); err != nil || !known {
		return err
	}
	return know(home, s.Addr(), s.HostKey())
}

// know adds a line to the known_hosts of a home.
func know(home, addr string, key ssh.PublicKey) error {
	return add(filepath.Join(home, ".ssh", "known_hosts"), knownhosts.Line([]string{knownhosts.Normalize(addr)}, key)+"\n")
}

func add(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
