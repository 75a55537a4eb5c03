package evaluator

import (
	"context"

	"fabgo/transport"
)

// given is a content that the parent has answered an Ask with: kept in memory at both ends until the next one, so that it need not cross the
// pipe once more to be written to the journal. A tree has thousands of them.
type given struct {
	content transport.Content
}

// over notes what passes from a host below.
func (g *given) over(h transport.Host) transport.Host {
	return transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
		res, err := h.Do(ctx, op)
		g.note(op, res)
		return res, err
	})
}

// givenLimit is the size up to which both ends have the bytes of an answer: a part of what wire attaches to it. The list of a tree is one
// answer for all of its files.
func givenLimit(op transport.Op) int64 {
	ask, ok := op.(transport.Ask)
	switch {
	case !ok || ask.Unseen:
		return -1
	case ask.What == transport.AskTree:
		return transport.ReadLimit
	}
	return 64 << 10
}

func (g *given) note(op transport.Op, res transport.Result) {
	if d, ok := res.(transport.Data); ok && d.Content.Known() && d.Content.Size <= givenLimit(op) {
		g.content = d.Content
	}
}

// held is an answer with its bytes at hand.
func held(op transport.Op, res transport.Result) (transport.Result, error) {
	d, ok := res.(transport.Data)
	if !ok || !d.Content.Known() || d.Content.Size > givenLimit(op) {
		return res, nil
	}
	b, err := d.Content.ReadAll(givenLimit(op))
	d.Content = transport.Bytes(b)
	return d, err
}

// take reports whether a content is the one that was given, once.
func (g *given) take(d transport.Digest) bool {
	if d == "" || g.content.Digest != d {
		return false
	}
	g.content = transport.Content{}
	return true
}
