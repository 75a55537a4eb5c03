package sshd

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

// connection is one authenticated client.
type connection struct {
	server   *Server
	conn     *ssh.ServerConn
	tcp      *faultConn
	sessions atomic.Int32
}

// channel serves one channel from its opening to its end.
func (c *connection) channel(nc ssh.NewChannel) {
	if c.tcp.faults.Silent == AtChannelOpen {
		return
	}
	if refusal := c.tcp.faults.refuse(nc.ChannelType()); refusal != nil {
		nc.Reject(refusal.Reason, refusal.Message)
		return
	}
	switch nc.ChannelType() {
	case "session":
		limit := c.server.opts.MaxSessions
		if limit == 0 {
			limit = 10
		}
		if n := c.sessions.Add(1); int(n) > limit {
			c.sessions.Add(-1)
			nc.Reject(ssh.ConnectionFailed, "open failed")
			return
		}
		defer c.sessions.Add(-1)
		ch, requests, err := nc.Accept()
		if err != nil {
			return
		}
		c.server.count(func(st *Stats) { st.Sessions++ })
		newSession(c, ch).serve(requests)
	case "direct-tcpip":
		c.forward(nc)
	default:
		nc.Reject(ssh.UnknownChannelType, "unknown channel type")
	}
}

// forward connects a direct-tcpip channel to where it wants to go.
func (c *connection) forward(nc ssh.NewChannel) {
	if c.server.opts.NoForwarding {
		nc.Reject(ssh.Prohibited, "administratively prohibited: open failed")
		return
	}
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &to); err != nil {
		nc.Reject(ssh.ConnectionFailed, "malformed direct-tcpip request")
		return
	}
	// A connection that ends takes its forwardings with it, whatever the far
	// side is doing, and also while it has not answered yet.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-c.tcp.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	target, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer target.Close()
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	defer context.AfterFunc(ctx, func() { target.Close() })()
	var requested, upward sync.WaitGroup
	upward.Go(func() {
		io.Copy(target, ch)
		if tcp, ok := target.(*net.TCPConn); ok {
			tcp.CloseWrite()
		}
	})
	requested.Go(func() {
		ssh.DiscardRequests(requests) // until the client closes the channel
		upward.Wait()
		target.Close()
	})
	// Either side may say that it has nothing more to send and go on listening.
	io.Copy(ch, target)
	ch.CloseWrite()
	upward.Wait()
	ch.Close()
	requested.Wait()
}
