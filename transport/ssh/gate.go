package ssh

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// gate passes on what a script writes after its begin, and keeps a little of what came before.
type gate struct {
	mark    []byte
	to      io.Writer
	greeted chan struct{} // closed at the greeting of an escalated script, or at begin
	open    chan struct{} // the same, for one reader who sets it nil
	begun   chan struct{} // closed at begin; word and group are set then
	ended   chan struct{} // closed at the end of the output
	group   int
	via     string // what the script says that it tries to become root, before it greets

	mu      sync.Mutex
	word    string
	began   bool
	pending []byte
	noise   []byte
	stopped bool
	once    sync.Once
	onceB   sync.Once
	ch      ssh.Channel
}

const noiseKept = 4 << 10

func newGate(nonce string, to io.Writer) *gate {
	g := &gate{mark: []byte("<" + nonce + ">"), to: to, greeted: make(chan struct{}), begun: make(chan struct{}), ended: make(chan struct{})}
	g.open = g.greeted
	return g
}

// copy reads to the end.
func (g *gate) copy(r io.Reader) {
	defer close(g.ended)
	if ch, ok := r.(ssh.Channel); ok {
		g.mu.Lock()
		g.ch = ch
		g.mu.Unlock()
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			g.write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (g *gate) write(p []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return
	}
	if g.began {
		g.to.Write(p)
		return
	}
	g.pending = append(g.pending, p...)
	for !g.began {
		i := bytes.Index(g.pending, g.mark)
		if i < 0 {
			// The mark may come in two pieces: keep what could be its beginning.
			if cut := len(g.pending) - len(g.mark); cut > 0 {
				g.keepNoise(g.pending[:cut])
				g.pending = append([]byte(nil), g.pending[cut:]...)
			}
			return
		}
		rest := g.pending[i+len(g.mark):]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return
		}
		g.keepNoise(g.pending[:i])
		word, group, _ := strings.Cut(string(rest[:end]), " ")
		g.pending = rest[end+1:]
		if word == "via" {
			g.via = group
			continue
		}
		g.once.Do(func() { close(g.greeted) })
		if word == "ready" { // the greeting of an escalated script; its begin is yet to come
			continue
		}
		g.began, g.word = true, word
		g.group, _ = strconv.Atoi(group)
		g.onceB.Do(func() { close(g.begun) })
	}
	if len(g.pending) > 0 {
		g.to.Write(g.pending)
	}
	g.pending = nil
}

func (g *gate) keepNoise(p []byte) {
	if room := noiseKept - len(g.noise); room > 0 {
		g.noise = append(g.noise, p[:min(room, len(p))]...)
	}
}

func (g *gate) beginWord() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.word
}

// stop ends the passing on: whoever reads what was written owns it from now.
func (g *gate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
}

// signal asks the server to send a signal to the command.
func (g *gate) signal(name string) {
	g.mu.Lock()
	ch := g.ch
	g.mu.Unlock()
	if ch != nil {
		ch.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{name}))
	}
}

// noiseOf is what two gates kept, for a message.
func noiseOf(out, errs *gate) string {
	var parts []string
	for _, g := range []*gate{errs, out} {
		g.mu.Lock()
		text := append([]byte(nil), g.noise...)
		if !g.began {
			text = append(text, g.pending...)
		}
		g.mu.Unlock()
		if s := strings.TrimSpace(string(text)); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "; ")
}
