package ssh

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// Host is a machine at the end of an SSH connection. It is safe for concurrent use.
type Host struct {
	ep     Endpoint
	opts   Options
	times  Timeouts
	dialer *dialer

	dialing once1 // one at a time connects anew

	mu     sync.Mutex
	conn   *conn // the connection at hand
	link   *link // what was found out about it; nil until somebody wants to know
	closed bool

	passMu  sync.Mutex
	pass    []byte      // sudo's
	wrong   bool        // it was refused: it is not tried again
	checked *escalation // to root, with the password that was right

	names names
}

// link is a connection with what was found out about the account at its far end.
type link struct {
	*conn
	root  *escalation // how scripts get the rights of the acting user; nil when the login has them
	acct  account     // the acting user
	tools map[string]bool
	files *fileServer
	table *tables.Reader
}

// Dial resolves target and connects.
func Dial(ctx context.Context, target string, o Options) (*Host, error) {
	ep, err := Resolve(target, o)
	if err != nil {
		return nil, err
	}
	return DialEndpoint(ctx, ep, o)
}

// DialEndpoint connects to ep and finds out what the account can do; with Lazy, it only connects. The connection is made anew when it
// was lost, but never in the middle of a change.
func DialEndpoint(ctx context.Context, ep Endpoint, o Options) (*Host, error) {
	if o.Shared == nil {
		o.Shared = &Shared{}
	}
	t := o.Timeouts.withDefaults()
	h := &Host{ep: ep.withDefaults(), opts: o, times: t, dialer: &dialer{opts: o, times: t, shared: o.Shared}}
	var err error
	if o.Lazy {
		_, err = h.connection(ctx)
	} else {
		_, err = h.prepared(ctx)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (e Endpoint) withDefaults() Endpoint {
	if e.Port == 0 {
		e.Port = 22
	}
	if e.ConnectTimeout <= 0 {
		e.ConnectTimeout = defaultConnectTimeout
	}
	if e.KeepAlive <= 0 {
		e.KeepAlive = defaultKeepAlive
	}
	if e.HostKeys == "" {
		e.HostKeys = AskHostKey
	}
	jumps := make([]Endpoint, len(e.Jumps))
	for i, j := range e.Jumps {
		jumps[i] = j.withDefaults()
	}
	e.Jumps = jumps
	return e
}

// Addr is the address that was dialled, host:port.
func (h *Host) Addr() string { return h.ep.Addr() }

// User is the account of the login; with Sudo, root acts.
func (h *Host) User() string { return h.ep.User }

// ServerVersion is the greeting of the server, such as "SSH-2.0-OpenSSH_9.2"; "" when there is no connection at the moment.
func (h *Host) ServerVersion() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil {
		return ""
	}
	return string(h.conn.client.ServerVersion())
}

// Close ends the connection. Commands that run at the far end are not killed by it.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.conn != nil {
		h.conn.fail(errors.New(closedHere))
		h.conn.close()
		h.conn, h.link = nil, nil
	}
	return nil
}

const closedHere = "the connection was closed on this side"

// connection is the one at hand, or a new one.
func (h *Host) connection(ctx context.Context) (*conn, error) {
	unlock, err := h.dialing.lock(ctx)
	if err != nil {
		return nil, h.dialer.interrupted(ctx, h.ep)
	}
	defer unlock()
	return h.connect(ctx)
}

// prepared is a connection about which everything is found out that ops need.
func (h *Host) prepared(ctx context.Context) (*link, error) {
	unlock, err := h.dialing.lock(ctx)
	if err != nil {
		return nil, h.dialer.interrupted(ctx, h.ep)
	}
	defer unlock()
	c, err := h.connect(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	l := h.link
	h.mu.Unlock()
	if l != nil {
		return l, nil
	}
	l, err = h.prepare(ctx, c)
	if err != nil {
		if c.sessions.count() == 0 { // nobody else uses it
			h.forget(c)
		}
		if b, ok := errors.AsType[*broken](err); ok {
			return nil, h.dialer.fail(h.ep, transport.Unreachable, b.Error(), "", b.err)
		}
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != c {
		return nil, h.dialer.fail(h.ep, transport.Unreachable, closedHere, "", nil)
	}
	h.link = l
	return l, nil
}

// connect is connection for those who have the lock of dialing.
func (h *Host) connect(ctx context.Context) (*conn, error) {
	h.mu.Lock()
	c, closed := h.conn, h.closed
	h.mu.Unlock()
	if closed {
		return nil, h.dialer.fail(h.ep, transport.Unreachable, closedHere, "", nil)
	}
	if c != nil {
		if c.why() == nil && !isClosed(c.dead) { // one that was given up is on its way to be dead
			return c, nil
		}
		h.forget(c)
	}
	c, err := h.dialer.connect(ctx, h.ep)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		c.close()
		return nil, h.dialer.fail(h.ep, transport.Unreachable, closedHere, "", nil)
	}
	h.conn = c
	return c, nil
}

// forget closes a connection that is of no use.
func (h *Host) forget(c *conn) {
	c.close()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == c {
		h.conn, h.link = nil, nil
	}
}

// Do asks the host. A question is asked again on a new connection when the old one was lost under it; a change is not.
func (h *Host) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return nil, interruptedError(ctx, op.Kind())
		}
		l, err := h.prepared(ctx)
		if err != nil {
			return nil, err
		}
		res, err := h.do(ctx, l, op)
		b, ok := errors.AsType[*broken](err)
		switch {
		case err == nil:
			return res, nil
		case !ok:
			return nil, err
		case b.sent && op.Changes():
			return nil, &transport.Error{Kind: transport.Lost, Message: fmt.Sprintf("%s: the connection to %s was lost under the change: %v", b.what, h.ep, b.err),
				Hint: "whether it happened is not known: look at the host, or run again", Err: b.err}
		case try == 2:
			return nil, &transport.Error{Kind: transport.Unreachable, Message: fmt.Sprintf("%s: the connection to %s was lost, twice: %v", b.what, h.ep, b.err), Err: b.err}
		}
	}
}

func (h *Host) do(ctx context.Context, l *link, op transport.Op) (transport.Result, error) {
	switch o := op.(type) {
	case transport.Exec:
		return answer(h.exec(ctx, l, o))
	case transport.Stat:
		return answer(h.stat(ctx, l, o))
	case transport.List:
		return answer(h.list(ctx, l, o))
	case transport.Read:
		return answer(h.read(ctx, l, o))
	case transport.Lookup:
		return answer(l.table.Lookup(ctx, o))
	case transport.Write:
		return answer(h.write(ctx, l, o))
	case transport.Unpack:
		return answer(h.unpack(ctx, l, o))
	case transport.Mkdir:
		return answer(h.mkdir(ctx, l, o))
	case transport.Link:
		return answer(h.makeLink(ctx, l, o))
	case transport.Remove:
		return answer(h.remove(ctx, l, o))
	case transport.SetAttr:
		return answer(h.setAttr(ctx, l, o))
	}
	return nil, &transport.Error{Kind: transport.Unsupported, Message: op.Kind() + ": an SSH host does not answer this"}
}

// answer keeps a typed result out of the interface when there is an error.
func answer[R transport.Result](r R, err error) (transport.Result, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// spare gives up the SFTP channel of c, where the server allows too few at once.
func (h *Host) spare(c *conn) func() bool {
	return func() bool {
		h.mu.Lock()
		l := h.link
		h.mu.Unlock()
		return l != nil && l.conn == c && l.files != nil && l.files.giveUp()
	}
}
