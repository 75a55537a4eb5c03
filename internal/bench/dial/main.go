// Command dial is the physical floor of everything that works over SSH: it dials a host, runs `true` on the one connection, and ends.
//
// The one rule: nothing that is not needed. Whatever fabgo does better, it cannot be faster than this.
//
// The trap: it knows one kind of key and one user; it is for machines of tests.
//
// The promise: it ends with 0 when the command did.
//
//	dial ADDR KEYFILE KNOWNHOSTS
package main

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: dial ADDR KEYFILE KNOWNHOSTS")
		os.Exit(2)
	}
	if err := dial(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "dial:", err)
		os.Exit(1)
	}
}

func dial(addr, keyFile, knownHosts string) error {
	b, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	key, err := ssh.ParsePrivateKey(b)
	if err != nil {
		return err
	}
	host, err := hostKey(knownHosts)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, addr, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(host), HostKeyAlgorithms: []string{host.Type()},
	})
	if err != nil {
		return err
	}
	client := ssh.NewClient(c, chans, reqs)
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		return err
	}
	return s.Run("true")
}

// hostKey is the Ed25519 key in a known_hosts file of one host.
func hostKey(knownHosts string) (ssh.PublicKey, error) {
	b, err := os.ReadFile(knownHosts)
	if err != nil {
		return nil, err
	}
	for len(b) > 0 {
		var key ssh.PublicKey
		if _, _, key, _, b, err = ssh.ParseKnownHosts(b); err != nil {
			return nil, fmt.Errorf("%s: %w", knownHosts, err)
		}
		if key.Type() == ssh.KeyAlgoED25519 {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s: no Ed25519 key: %w", knownHosts, os.ErrNotExist)
}
