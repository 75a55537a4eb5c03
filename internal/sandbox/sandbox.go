// Package sandbox is the host `@sandbox`: a throw-away copy of this machine
// behind an SSH server on a loopback port.
//
// [Start] executes this very binary again in new namespaces. There it stacks
// a copy-on-write overlay on this machine's files, makes that its root, gives
// it /proc, /dev, /run and /tmp of its own, and serves SSH (internal/sshd)
// until its parent lets go. As root that is one overlay of "/"; for an
// ordinary user it is a user namespace with one overlay for each top-level
// folder.
//
// The one rule: what runs inside must not reach the real machine. So the
// mounts are made by process 1, and everything else runs one user namespace
// further in, where those mounts are locked, the kernel's settings are
// read-only and root's capabilities end at the namespace's border.
//
// The trap: the network is shared, or packages could not be fetched. A
// command inside that talks to 127.0.0.1 talks to the real machine's
// services. And no init runs inside: services are neither started nor
// stopped there (policy-rc.d tells Debian's packages so).
//
// The promise: when Close returns, every process of the sandbox has ended and
// its mounts and files are gone with it; the kernel sees to that, even when
// this process is killed. Only Keep leaves it running, until Remove.
package sandbox

import (
	"errors"

	"golang.org/x/crypto/ssh"
)

// Command is the hidden command line argument with which the binary executes
// itself; main hands what follows it to [Child].
const Command = "sandbox-init"

// ErrUnsupported is what every function answers where there are no Linux
// namespaces.
var ErrUnsupported = errors.New("sandbox: needs Linux; use another host with -H, or @local to change this machine")

// Options says which sandbox to start.
type Options struct {
	// Keep leaves the sandbox running when this process ends, so that the next
	// Start of the same Name joins it with everything that was done in it.
	Keep bool
	// Name tells kept sandboxes apart. Empty means "default".
	Name string
	// StateDir holds the state of kept sandboxes, one folder each. Empty means
	// $XDG_STATE_HOME/fabgo/sandbox, or ~/.local/state/fabgo/sandbox.
	StateDir string
	// Self is the binary to execute as the sandbox's first process. Empty
	// means the running one.
	Self string
}

// Sandbox is a running sandbox and what is needed to log in to it.
type Sandbox struct {
	// Addr is the SSH server's address, 127.0.0.1:port.
	Addr string
	// User is the user to log in as; it is root in there.
	User string
	// HostKey is the only key the server has.
	HostKey ssh.PublicKey
	// Signer is the only key the server lets in.
	Signer ssh.Signer
	// Limits are sentences on what is different from the real machine here,
	// beyond what is true of every sandbox. Empty when run as root.
	Limits []string
	// Rejoined says that Start found a kept sandbox alive.
	Rejoined bool

	stop func() error
}

// Close ends the sandbox and everything in it. A kept one is left running.
func (s *Sandbox) Close() error {
	if s.stop == nil {
		return nil
	}
	stop := s.stop
	s.stop = nil
	return stop()
}
