package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"fabgo/internal/converge"
	"fabgo/internal/sandbox"
	"fabgo/transport"
	"fabgo/transport/local"
	"fabgo/transport/ssh"
)

// connectFlags say how hosts are reached.
type connectFlags struct {
	hosts          []string
	user           string
	port           int
	identities     []string
	jump           string
	config         string
	knownHosts     string
	hostKeys       string
	sudo           bool
	askSudo        bool
	connectTimeout time.Duration
	keep           bool
	legacy         bool
	parallel       int

	repo *repository // where hosts are looked up before ssh_config; nil: nowhere
}

func (c *connectFlags) bind(f *pflag.FlagSet) {
	f.StringArrayVarP(&c.hosts, "host", "H", nil, "`HOST`: [user@]host[:port], a name of the inventory or of ssh_config, @GROUP, @all, @local or @sandbox; may be given several times")
	f.StringVarP(&c.user, "user", "u", "", "log in as this `USER`")
	f.IntVar(&c.port, "port", 0, "`PORT` of the SSH server (default 22, or ssh_config's)")
	f.StringArrayVar(&c.identities, "identity", nil, "private key `FILE`, tried before those of ssh_config; may be given several times")
	f.StringVarP(&c.jump, "jump", "J", "", "`HOSTS` on the way, separated by commas, as in ssh -J; none for none")
	f.StringVarP(&c.config, "ssh-config", "F", "", "read this `FILE` instead of ~/.ssh/config and /etc/ssh/ssh_config; none reads none")
	f.StringVar(&c.knownHosts, "known-hosts", "", "`FILE` of host keys instead of the user's and the system's")
	f.StringVar(&c.hostKeys, "host-keys", "", "`POLICY` for unknown host keys: ask, yes (refuse them) or accept-new (default: ssh_config's StrictHostKeyChecking, else ask)")
	f.BoolVarP(&c.sudo, "sudo", "b", false, "act as root through sudo")
	f.BoolVarP(&c.askSudo, "ask-sudo-password", "K", false, "ask for the password of sudo, once; implies --sudo")
	f.DurationVar(&c.connectTimeout, "connect-timeout", 0, "`TIME` limit for reaching a host, such as 10s (default: ssh_config's, else 15s)")
	f.BoolVar(&c.keep, "keep", false, "keep the sandbox of -H @sandbox for the next command; fabgo sandbox remove ends it")
	f.IntVar(&c.parallel, "parallel", 20, "how many hosts at once: `N`")
	f.BoolVar(&c.legacy, "legacy-algorithms", false, "offer SSH algorithms with known weaknesses too, for servers that have no others")
}

// options are the connection's for transport/ssh.
func (c *connectFlags) options(p *prompter, shared *ssh.Shared) ssh.Options {
	o := ssh.Options{
		User: c.user, Port: c.port, Identities: c.identities, Jump: c.jump, Config: c.config, KnownHosts: c.knownHosts,
		HostKeys: ssh.HostKeyPolicy(c.hostKeys), ConnectTimeout: c.connectTimeout, Legacy: c.legacy,
		Shared: shared, Sudo: c.sudo || c.askSudo,
	}
	if c.repo != nil {
		o.Known = c.repo.known
	}
	if p != nil {
		o.Prompter = p
	}
	if c.askSudo {
		o.SudoPassword = p.sudoPassword
	}
	return o
}

// check finds what is wrong with the flags by themselves.
func (c *connectFlags) check(hosts []string) error {
	switch c.hostKeys {
	case "", "ask", "yes", "accept-new":
	default:
		return usage("--host-keys=%s: want ask, yes or accept-new", c.hostKeys)
	}
	switch {
	case c.port < 0 || c.port > 65535:
		return usage("--port %d: want a number from 1 to 65535", c.port)
	case c.connectTimeout < 0:
		return usage("--connect-timeout %s: want a time from now", c.connectTimeout)
	case c.parallel < 1:
		return usage("--parallel %d: want 1 or more", c.parallel)
	}
	for i, h := range hosts {
		switch {
		case h == "":
			return usage("-H: the host is empty")
		case slices.Contains(hosts[:i], h):
			return usage("-H %s is given twice", h)
		case h == "@local" && (c.sudo || c.askSudo):
			return usage("--sudo does not apply to @local: run fabgo itself with sudo")
		}
	}
	return nil
}

// resolve finds out what hosts stand for, without any connection: faults of the configuration come before the first one. It returns
// their names without user and port.
func (c *connectFlags) resolve(hosts []string) (names []string, err error) {
	var errs []error
	for _, h := range hosts {
		if strings.HasPrefix(h, "@") {
			names = append(names, h)
			continue
		}
		ep, err := ssh.Resolve(h, c.options(nil, nil))
		if err != nil {
			errs = append(errs, err)
		}
		names = append(names, ep.Name)
	}
	if len(errs) > 0 {
		return nil, invalid(errors.Join(errs...))
	}
	return names, nil
}

// connection is a host that was reached.
type connection struct {
	transport.Host
	info  converge.Info
	far   *ssh.Host // nil: this machine
	close func() error
}

// reach connects to a host by the name that the user gave it.
func (e *env) reach(ctx context.Context, name string, o ssh.Options, c *connectFlags) (*connection, error) {
	switch name {
	case "@local":
		return reachLocal()
	case "@sandbox":
		return e.reachSandbox(ctx, o, c)
	}
	o.Lazy = true // what the account can do need not be known where a helper is started
	h, err := ssh.Dial(ctx, name, o)
	if err != nil {
		return nil, err
	}
	return &connection{h, converge.Info{Name: name, Address: h.Addr(), User: h.User(), Acting: acting(h.User(), o)}, h, h.Close}, nil
}

func acting(user string, o ssh.Options) string {
	if o.Sudo {
		return "root"
	}
	return user
}

func reachLocal() (*connection, error) {
	h, err := local.New(local.Options{})
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("find out who runs this: %w", err)
	}
	return &connection{h, converge.Info{Name: "@local", Address: "local", User: me.Username, Acting: me.Username}, nil, func() error { return nil }}, nil
}

// reachSandbox starts or joins the sandbox and logs in to it over SSH, like to any host.
func (e *env) reachSandbox(ctx context.Context, o ssh.Options, c *connectFlags) (*connection, error) {
	dir, err := e.state()
	if err != nil {
		return nil, err
	}
	box, err := sandbox.Start(ctx, sandbox.Options{Keep: c.keep, StateDir: filepath.Join(dir, "sandbox")})
	if err != nil {
		return nil, &transport.Error{Kind: transport.Unsupported, Message: err.Error(), Err: err}
	}
	for _, l := range box.Limits {
		fmt.Fprintln(e.Stderr, "@sandbox:", l)
	}
	so := ssh.Options{User: box.User, Signer: box.Signer, HostKey: box.HostKey, Config: "none", ConnectTimeout: o.ConnectTimeout, Lazy: true}
	h, err := ssh.Dial(ctx, box.Addr, so)
	if err != nil {
		return nil, errors.Join(err, box.Close())
	}
	return &connection{h, converge.Info{Name: "@sandbox", Address: box.Addr, User: box.User, Acting: box.User}, h, func() error { return errors.Join(h.Close(), box.Close()) }}, nil
}
