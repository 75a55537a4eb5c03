// Package ssh is a transport.Host over SSH: ops become commands of the far end's POSIX shell and requests to its SFTP server.
//
// The one rule: a change is sent once. Whatever happens after its bytes left this machine, it is never sent again: either the far end
// answered, or the error has kind Lost.
//
// The trap: everything before our own first word on a channel is noise (profiles print, sudo lectures), and nothing that the far end
// says is data to trust: names, sizes, counts and types are checked, and outputs have a cap.
//
// The promise: no call hangs. Every stage of a connection has a deadline of its own and an error that names the stage, a dead
// connection is found within 45 seconds, and a server whose key is not the known one never sees an attempt to authenticate.
package ssh

import (
	"context"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options says how targets are resolved, reached and used. The zero value does what the user's own ssh would do, without asking
// anybody anything.
type Options struct {
	User           string        // instead of the target's and ssh_config's
	Port           int           // instead of the target's and ssh_config's
	Identities     []string      // private key files, offered before those of ssh_config
	Jump           string        // like ssh -J: hosts on the way, separated by commas; "none" for none
	Config         string        // like ssh -F: read this file only; "none" reads no file
	KnownHosts     string        // this file instead of the user's and the system's
	HostKeys       HostKeyPolicy // instead of StrictHostKeyChecking
	ConnectTimeout time.Duration // for TCP and for the greeting, each; 0 is ssh_config's, else 15 s
	KeepAlive      time.Duration // between questions whether the far end lives; 0 is ssh_config's, else 15 s; three without answer end it
	Legacy         bool          // offer algorithms with known weaknesses too, for servers that have no others

	// Known tells what an inventory knows of a host, or of one on the way, by its name: it wins over ssh_config, and what the target or an
	// option says wins over it. Nil knows nothing.
	Known func(name string) Known

	// For servers that fabgo itself started: the one key to log in with, and the one key that the server may show. With Signer, no
	// other identity is offered; with HostKey, known_hosts is not read.
	Signer  ssh.Signer
	HostKey ssh.PublicKey

	// Connecting does nothing but connect. What the account can do is found out by the first Do, whose error it is then that connecting
	// would have given otherwise; Start does not need to know.
	Lazy bool

	Timeouts Timeouts
	Prompter Prompter // who is asked; nil: nobody, and what would be asked is an error
	Shared   *Shared  // what the connections of one process share; nil: nothing

	Sudo         bool                                  // act as root through sudo (or doas)
	SudoPassword func(context.Context) ([]byte, error) // asked when sudo wants one; nil: an error then
}

// Known is what an inventory says of a host. What it leaves out, ssh_config says.
type Known struct {
	Address string // what is dialled
	User    string
	Port    int
}

// Timeouts are the deadlines of a connection's stages. Zero fields have the defaults given.
type Timeouts struct {
	KeyExchange time.Duration // 20 s
	Auth        time.Duration // 60 s, without the time a person takes to answer
	Channel     time.Duration // 30 s to open one
	Request     time.Duration // 30 s for the answer to a request
}

func (t Timeouts) withDefaults() Timeouts {
	set := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	set(&t.KeyExchange, 20*time.Second)
	set(&t.Auth, 60*time.Second)
	set(&t.Channel, 30*time.Second)
	set(&t.Request, 30*time.Second)
	return t
}

// HostKeyPolicy says what to do about a host that no known_hosts file holds. A key that differs from the known one is always refused.
type HostKeyPolicy string

// The policies.
const (
	AskHostKey       HostKeyPolicy = "ask"        // ask the Prompter; without one, refuse
	StrictHostKey    HostKeyPolicy = "yes"        // refuse
	AcceptNewHostKey HostKeyPolicy = "accept-new" // accept and remember
)

// Prompter asks a person. One question is asked at a time, over all the connections that have a Shared in common.
type Prompter interface {
	Confirm(ctx context.Context, text string) (bool, error)
	Password(ctx context.Context, text string) ([]byte, error) // echo off; the answer without the end of line
}
