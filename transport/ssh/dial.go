package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"fabgo/transport"
)

// loginTries is how often a login is tried that the server turned away before authentication, as it does when too many come at once.
const loginTries = 8

// conn is one authenticated connection.
type conn struct {
	ep       Endpoint
	client   *ssh.Client
	wire     *wire
	via      *conn // the jump host below it
	banner   string
	dead     chan struct{} // closed when the connection is over
	sessions *sessions
	requests once1 // one at a time is on its way without being waited for

	mu     sync.Mutex
	reason error // why it is over

	closeOnce sync.Once
}

// close ends the connection and those below it.
func (c *conn) close() {
	c.closeOnce.Do(func() {
		c.client.Close()
		c.wire.Close()
		if c.via != nil {
			c.via.close()
		}
	})
}

// dialer makes connections.
type dialer struct {
	opts   Options
	times  Timeouts
	shared *Shared
}

// connect reaches ep through its jump hosts.
func (d *dialer) connect(ctx context.Context, ep Endpoint) (*conn, error) {
	var via *conn
	for i := range len(ep.Jumps) + 1 {
		hop, last := ep, i == len(ep.Jumps)
		if !last {
			hop = ep.Jumps[i]
		}
		c, err := d.login(ctx, via, hop)
		if err != nil {
			if via != nil {
				via.close()
			}
			if !last {
				return nil, prefixError(fmt.Sprintf("connect to %s: jump host %s: ", ep, hop), fmt.Sprintf("connect to %s: ", hop), err)
			}
			return nil, err
		}
		c.via, via = via, c
	}
	return via, nil
}

// prefixError puts more in front of a message, in place of what it began with.
func prefixError(prefix, old string, err error) error {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return fmt.Errorf("%s%w", prefix, err)
	}
	c := *e
	c.Message = prefix + strings.TrimPrefix(c.Message, old)
	return &c
}

// turnedAway is the end of a connection before authentication that a second try may pass.
type turnedAway struct{ error }

func (t turnedAway) Unwrap() error { return t.error }

func (d *dialer) login(ctx context.Context, via *conn, ep Endpoint) (*conn, error) {
	for try := 1; ; try++ {
		c, err := d.once(ctx, via, ep)
		away, ok := errors.AsType[turnedAway](err)
		if !ok {
			return c, err
		}
		if try == loginTries {
			return nil, d.fail(ep, transport.Unreachable, fmt.Sprintf("the server closed the connection before authentication, %d times: %v", try, away.error),
				"it may limit logins (MaxStartups, PerSourcePenalties of sshd) or block this address (fail2ban, hosts.deny)", away.error)
		}
		// Jittered, so that those who were turned away together do not come back together.
		pause := min(100*time.Millisecond<<try, 3*time.Second)
		pause = pause/2 + rand.N(pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, d.interrupted(ctx, ep)
		}
	}
}

func (d *dialer) fail(ep Endpoint, kind transport.Kind, msg, hint string, cause error) error {
	return &transport.Error{Kind: kind, Message: fmt.Sprintf("connect to %s: %s", ep, msg), Hint: hint, Err: cause}
}

func (d *dialer) interrupted(ctx context.Context, ep Endpoint) error {
	cause := context.Cause(ctx)
	return d.fail(ep, transport.Interrupted, cause.Error(), "", cause)
}

// raw makes the connection that SSH is to run on.
func (d *dialer) raw(ctx context.Context, via *conn, ep Endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ep.ConnectTimeout)
	defer cancel()
	switch {
	case via != nil:
		return d.through(ctx, via, ep)
	case ep.ProxyCommand != "":
		c, err := proxyCommand(ep)
		if err != nil {
			return nil, d.fail(ep, transport.Unreachable, "start the ProxyCommand: "+err.Error(), "", err)
		}
		return c, nil
	}
	nd := net.Dialer{KeepAlive: -1} // our own keepalives say more
	c, err := nd.DialContext(ctx, "tcp", ep.Addr())
	if err == nil {
		return c, nil
	}
	if errors.Is(err, syscall.ECONNRESET) {
		return nil, turnedAway{errors.New("connection reset")}
	}
	cause, _ := errors.AsType[*net.OpError](err)
	msg, hint := err.Error(), ""
	if cause != nil {
		msg = cause.Err.Error()
		if se, ok := errors.AsType[*os.SyscallError](cause.Err); ok {
			msg = se.Err.Error()
		}
	}
	switch dns, _ := errors.AsType[*net.DNSError](err); {
	case dns != nil:
		msg, hint = "no address for the name "+dns.Name+": "+dns.Err, "check the name, or give HostName in ssh_config"
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = fmt.Sprintf("nothing listens on port %d of %s", ep.Port, ep.Host)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		hint = "no way leads to the host from here: is it up, and the network or VPN that leads to it?"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		hint = "a firewall, here or on the way, forbids the connection"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		msg = fmt.Sprintf("TCP: no answer within %s", ep.ConnectTimeout)
		hint = "the host is down, or a firewall drops the packets"
	}
	return nil, d.fail(ep, transport.Unreachable, msg, hint, err)
}

// through opens a connection from a jump host on.
func (d *dialer) through(ctx context.Context, via *conn, ep Endpoint) (net.Conn, error) {
	c, err := via.client.DialContext(ctx, "tcp", ep.Addr())
	if err == nil {
		// Its addresses say 0.0.0.0; known_hosts wants a real one.
		return &namedConn{Conn: c, remote: addrOf(ep)}, nil
	}
	from := fmt.Sprintf("from the jump host %s: ", via.ep)
	if oce, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
		if oce.Reason == ssh.Prohibited {
			return nil, d.fail(ep, transport.Unreachable, from+"it does not forward connections: "+oce.Message, "AllowTcpForwarding in its sshd_config", err)
		}
		return nil, d.fail(ep, transport.Unreachable, from+oce.Message, "", err)
	}
	if ctx.Err() != nil {
		return nil, d.fail(ep, transport.Unreachable, fmt.Sprintf("%sno answer within %s", from, ep.ConnectTimeout), "", err)
	}
	return nil, d.fail(ep, transport.Unreachable, from+err.Error(), "", err)
}

// namedConn has the address that the far end would have.
type namedConn struct {
	net.Conn
	remote net.Addr
}

func (n *namedConn) RemoteAddr() net.Addr { return n.remote }

type hostAddr string

func (hostAddr) Network() string  { return "tcp" }
func (a hostAddr) String() string { return string(a) }

func addrOf(ep Endpoint) net.Addr { return hostAddr(ep.Addr()) }

// once connects and authenticates, within the budget of the address.
func (d *dialer) once(ctx context.Context, via *conn, ep Endpoint) (*conn, error) {
	done, err := d.shared.login(ctx, ep.Addr())
	if err != nil {
		return nil, d.interrupted(ctx, ep)
	}
	defer done()
	raw, err := d.raw(ctx, via, ep)
	if err != nil {
		if ctx.Err() != nil {
			return nil, d.interrupted(ctx, ep)
		}
		return nil, err
	}
	c, err := d.handshake(ctx, raw, ep)
	if err != nil {
		raw.Close()
		if ctx.Err() != nil {
			return nil, d.interrupted(ctx, ep)
		}
		return nil, err
	}
	return c, nil
}

// The stages of a handshake, as errors name them.
const (
	stageGreeting = "waiting for the server's greeting"
	stageKEX      = "the key exchange"
	stageAuth     = "the authentication"
)

func (d *dialer) handshake(ctx context.Context, raw net.Conn, ep Endpoint) (*conn, error) {
	watch := &stages{abort: func() { raw.Close() }}
	w := newWire(raw, func() { watch.enter(stageKEX, d.times.KeyExchange) })
	v := &verifier{ep: ep, opts: d.opts, shared: d.shared}
	auth := &authenticator{ep: ep, opts: d.opts, shared: d.shared, ctx: ctx, pause: watch.pause}
	defer auth.close()
	algorithms, err := v.algorithms()
	if err != nil {
		return nil, v.fail(err.Error(), "", err)
	}
	var banner string
	var keyErr error
	cfg := &ssh.ClientConfig{
		User:              ep.User,
		Auth:              auth.methods(),
		HostKeyAlgorithms: algorithms,
		BannerCallback:    func(msg string) error { banner = msg[:min(len(msg), 4096)]; return nil },
		HostKeyCallback: func(_ string, remote net.Addr, key ssh.PublicKey) error {
			if v.accepted != nil { // keys are renegotiated: no stage of the login
				return v.check(ctx, remote, key)
			}
			resume := watch.pause()
			keyErr = v.check(ctx, remote, key)
			resume()
			if keyErr == nil {
				watch.enter(stageAuth, d.times.Auth)
			}
			return keyErr
		},
	}
	if d.opts.Legacy {
		cfg.Config = legacyAlgorithms()
	}
	watch.enter(stageGreeting, ep.ConnectTimeout)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	sc, chans, reqs, err := ssh.NewClientConn(w, ep.Addr(), cfg)
	stop()
	stage := watch.now()
	expired := watch.finish()
	if err == nil && expired == "" {
		auth.settle(true)
		c := &conn{ep: ep, client: ssh.NewClient(sc, chans, reqs), wire: w, banner: banner, sessions: newSessions()}
		c.watch()
		return c, nil
	}
	if sc != nil {
		sc.Close()
	}
	auth.settle(false)
	switch {
	case keyErr != nil:
		return nil, keyErr
	case expired != "":
		return nil, d.fail(ep, transport.Unreachable, expired, "the server accepts connections but does not answer: it may be overloaded, or no SSH server at all", err)
	}
	if said, greeted := w.said(); !greeted {
		return nil, d.notGreeted(ep, said, err)
	}
	return nil, d.refused(ep, stage, auth, banner, err)
}

// notGreeted explains a connection that ended before the server's greeting.
func (d *dialer) notGreeted(ep Endpoint, said string, err error) error {
	cause := strings.TrimPrefix(err.Error(), "ssh: handshake failed: ")
	switch {
	case said != "" && strings.HasPrefix("SSH-2.0-", said): // cut in the middle of its greeting
		return turnedAway{errors.New(cause)}
	case strings.Contains(said, "MaxStartups"):
		return turnedAway{fmt.Errorf("it said %q", said)}
	case said != "":
		return d.fail(ep, transport.Unreachable, fmt.Sprintf("the server said %q instead of a greeting", said),
			"no SSH server, or one that blocks this address for a while (PerSourcePenalties of sshd)", err)
	case ep.ProxyCommand != "":
		return d.fail(ep, transport.Unreachable, "the ProxyCommand ended: "+cause, "", err)
	}
	return turnedAway{errors.New(cause)}
}

// refused explains a handshake that failed after the greeting.
func (d *dialer) refused(ep Endpoint, stage string, auth *authenticator, banner string, err error) error {
	cause := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "ssh: handshake failed: "), "ssh: ")
	if stage != stageAuth {
		if strings.Contains(cause, "no common algorithm") {
			return d.fail(ep, transport.Protocol, cause, "the server is old, or configured to algorithms that are not supported; those with known weaknesses need an option", err)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			return turnedAway{errors.New(cause)} // MaxStartups drops in the middle of it too
		}
		return d.fail(ep, transport.Unreachable, fmt.Sprintf("%s failed: %s", stage, cause), "", err)
	}
	auth.mu.Lock()
	defer auth.mu.Unlock()
	detail := ""
	if len(auth.notes) > 0 {
		detail = "; " + strings.Join(auth.notes, "; ")
	}
	if b := strings.TrimSpace(banner); b != "" {
		detail += fmt.Sprintf("; the server says: %s", b)
	}
	tried := "no key was offered"
	if len(auth.offered) > 0 {
		tried = "offered " + strings.Join(auth.offered, ", ")
	}
	switch {
	case strings.Contains(cause, "unable to authenticate"):
		hint := "check the user name and the key (ssh -v shows what ssh itself would offer)"
		if auth.opts.Prompter == nil {
			hint += "; nobody can be asked for a password here"
		}
		return d.fail(ep, transport.Auth, "the server refuses the login: "+tried+detail, hint, err)
	case strings.Contains(cause, "disconnect, reason"):
		return d.fail(ep, transport.Auth, "the server ended the login: "+cause+"; "+tried+detail, "with many keys in the agent, IdentitiesOnly and IdentityFile in ssh_config offer the right one", err)
	case auth.signed && (errors.Is(err, io.EOF) || strings.HasSuffix(cause, "EOF")):
		return d.fail(ep, transport.Auth, "the server closed the connection upon a good key or password"+detail, "the account may be locked or expired, or logins are switched off (/etc/nologin, PAM)", err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return d.fail(ep, transport.Unreachable, "the connection broke during the authentication: "+cause+detail, "", err)
	}
	return d.fail(ep, transport.Auth, cause+"; "+tried+detail, "", err)
}

// legacyAlgorithms adds what is known to be weak, behind all that is not.
func legacyAlgorithms() ssh.Config {
	good, bad := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	return ssh.Config{
		KeyExchanges: append(good.KeyExchanges, bad.KeyExchanges...),
		Ciphers:      append(good.Ciphers, bad.Ciphers...),
		MACs:         append(good.MACs, bad.MACs...),
	}
}
