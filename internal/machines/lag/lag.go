// Package lag puts a round trip between a client and a server on one machine.
//
// A Proxy forwards TCP and holds every byte back for half of the round trip in either direction, so that what is measured or tested
// through it costs what it would cost over a long line: one round trip for each question that waits for its answer.
//
// The rule: delay, never throttle. What is sent at once arrives at once, half a round trip later; bandwidth is not modelled.
//
// The trap: the client's connect succeeds immediately, for the kernel answers it. The proxy makes up for that by reaching the server as
// late as a real handshake would, so the first bytes arrive on time; a test that measures connect alone measures nothing.
//
// The promise: after Close no goroutine and no connection of the proxy is left.
package lag

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// inFlight bounds the chunks that are under way in one direction of one connection; with chunkSize it is 16 MiB, far more than
// TCP itself would keep in flight.
const (
	inFlight  = 512
	chunkSize = 32 << 10
)

// Proxy forwards connections to one address, late.
type Proxy struct {
	listener net.Listener
	target   string
	rtt      time.Duration

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// Listen starts a proxy on addr (host:port; port 0 picks a free one) that forwards to target with the round trip rtt. The proxy works
// until Close.
func Listen(addr, target string, rtt time.Duration) (*Proxy, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s with a round trip of %s: %w", target, rtt, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{listener: l, target: target, rtt: rtt, ctx: ctx, cancel: cancel}
	p.tasks.Go(p.accept)
	return p, nil
}

// Addr is the address to dial instead of the target's.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close stops listening, cuts all connections and waits until they are gone.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.tasks.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.tasks.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(client *net.TCPConn) {
	defer client.Close()
	// A server sees a connection when the third segment of the handshake arrives, one and a half round trips after the first was sent.
	if !p.sleep(p.rtt + p.rtt/2) {
		return
	}
	var d net.Dialer
	c, err := d.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	defer server.Close()
	// Reads and writes know no context: cutting the connections is what ends them.
	defer context.AfterFunc(p.ctx, func() { client.Close(); server.Close() })()

	var both sync.WaitGroup
	both.Go(func() { p.pipe(server, client) })
	both.Go(func() { p.pipe(client, server) })
	both.Wait()
}

type chunk struct {
	due  time.Time
	data []byte
}

// pipe forwards one direction. The end of what src sends is passed on like data, so half-closed connections work. When dst takes no
// more, src is closed as well: nobody would read it.
func (p *Proxy) pipe(dst, src *net.TCPConn) {
	line := make(chan chunk, inFlight)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(line)
		for {
			b := make([]byte, chunkSize)
			n, err := src.Read(b)
			due := time.Now().Add(p.rtt / 2)
			if n > 0 {
				line <- chunk{due, b[:n]}
			}
			if err != nil {
				if err == io.EOF {
					line <- chunk{due, nil}
				}
				return
			}
		}
	})
	for c := range line {
		if !p.sleep(time.Until(c.due)) {
			break
		}
		if c.data == nil {
			dst.CloseWrite()
			break
		}
		if _, err := dst.Write(c.data); err != nil {
			src.Close()
			break
		}
	}
	for range line {
		// The reader must never wait for a writer that has gone.
	}
	reader.Wait()
}

// sleep waits for d and says whether the proxy still runs.
func (p *Proxy) sleep(d time.Duration) bool {
	if d <= 0 {
		return p.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}
