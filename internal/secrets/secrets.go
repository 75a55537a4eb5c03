// Package secrets stands just above a host and swaps the tokens of secrets for their bytes in what the host is to do, and the bytes for tokens in
// what it answers.
//
// The one rule: above this decorator there are only tokens, in the process that evaluates, in journals, in reports; below it, only bytes.
//
// The trap: what everybody on the host can see is no place for a secret. Arguments, environments and names are refused; contents and standard input
// take them.
//
// The promise: a secret that the host prints, as it is or encoded, is a token again before anybody reads it.
package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"fabgo/internal/token"
	"fabgo/transport"
)

// Limit is how long a secret may be, in bytes.
const Limit = 64 << 10

// contentLimit is how long a content with tokens in it may be: they are swapped in memory.
const contentLimit = 4 << 20

// Host is a host for those who know only tokens.
type Host struct {
	below transport.Host

	mu     sync.Mutex
	values map[string]string
	mask   *mask
}

// Over puts the decorator over a host that answers AskSecret with the bytes of a secret.
func Over(below transport.Host) *Host { return &Host{below: below, values: map[string]string{}} }

// Do implements transport.Host.
func (h *Host) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	if a, ok := op.(transport.Ask); ok {
		if a.What != transport.AskSecret {
			return h.below.Do(ctx, op)
		}
		if _, err := h.value(ctx, string(a.Name)); err != nil {
			return nil, err
		}
		return transport.Data{Content: transport.String(token.Of(string(a.Name)))}, nil
	}
	if err := visible(op); err != nil {
		return nil, err
	}
	op, err := h.expand(ctx, op)
	if err != nil {
		return nil, err
	}
	res, err := h.below.Do(ctx, op)
	if err != nil {
		return nil, h.hideError(err)
	}
	return h.hide(op, res)
}

// value is what a secret is. It is asked for once.
func (h *Host) value(ctx context.Context, name string) (string, error) {
	h.mu.Lock()
	v, ok := h.values[name]
	h.mu.Unlock()
	if ok {
		return v, nil
	}
	data, err := transport.Do[transport.Data](ctx, h.below, transport.Ask{What: transport.AskSecret, Name: transport.Text(name)})
	if err != nil {
		return "", err
	}
	b, err := data.Content.ReadAll(Limit)
	if err != nil {
		return "", fmt.Errorf("read the secret %s: %w", name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.values[name] = string(b)
	h.mask = newMask(h.values)
	return string(b), nil
}

// expand gives the contents of an op the bytes that are meant.
func (h *Host) expand(ctx context.Context, op transport.Op) (transport.Op, error) {
	var failed error
	op = transport.BindOp(op, func(c transport.Content) transport.Content {
		if !c.Secret {
			return c
		}
		b, err := c.ReadAll(contentLimit)
		if err != nil {
			failed = errors.Join(failed, err)
			return c
		}
		text, err := token.Expand(string(b), func(name string) (string, error) { return h.value(ctx, name) })
		if err != nil {
			failed = errors.Join(failed, err)
			return c
		}
		return transport.String(text)
	})
	if failed == nil {
		return unmark(op), nil
	}
	if te, ok := errors.AsType[*transport.Error](failed); ok {
		return nil, te
	}
	return nil, &transport.Error{Kind: transport.Refused, Message: op.Kind() + ": " + failed.Error(), Err: failed}
}

// unmark takes the marks off contents that have no tokens any more.
func unmark(op transport.Op) transport.Op {
	switch o := op.(type) {
	case transport.Stat:
		o.Against = unmarked(o.Against)
		return o
	case transport.Exec:
		o.Stdin = unmarked(o.Stdin)
		return o
	case transport.Write:
		o.Content.Secret = false
		return o
	}
	return op
}

func unmarked(c *transport.Content) *transport.Content {
	if c == nil || !c.Secret {
		return c
	}
	out := *c
	out.Secret = false
	return &out
}

// visible refuses tokens where others on the host would see the secret.
func visible(op transport.Op) error {
	refuse := func(where, s string) error {
		names := "a secret"
		if n := token.Names(s); len(n) > 0 {
			names = "the secret " + strings.Join(n, ", ")
		}
		return &transport.Error{
			Kind: transport.Refused, Message: fmt.Sprintf("%s: %s is in %s, where others on the host can see it", op.Kind(), names, where),
			Hint: "give it on standard input (stdin = ...), or let the command read a file that file.put writes with it",
		}
	}
	check := func(where string, texts ...string) error {
		for _, s := range texts {
			if token.In(s) {
				return refuse(where, s)
			}
		}
		return nil
	}
	switch o := op.(type) {
	case transport.Exec:
		for _, a := range o.Argv {
			if token.In(string(a)) {
				return refuse("the arguments of a command", string(a))
			}
		}
		for k, v := range o.Env {
			if token.In(k) || token.In(string(v)) {
				return refuse("the environment of a command", k+string(v))
			}
		}
		return check("the folder or the user of a command", string(o.Dir), string(o.User))
	case transport.Stat:
		return check("a path", string(o.Path))
	case transport.List:
		return check("a path", string(o.Path))
	case transport.Read:
		return check("a path", string(o.Path))
	case transport.Lookup:
		for _, k := range o.Keys {
			if token.In(string(k)) {
				return refuse("a name", string(k))
			}
		}
	case transport.Write:
		for _, a := range o.Validate {
			if token.In(string(a)) {
				return refuse("the arguments of a command", string(a))
			}
		}
		return check("a path or a name", string(o.Path), string(o.Backup), string(o.Owner), string(o.Group))
	case transport.Unpack:
		return check("a path or a name", string(o.Path), string(o.Owner), string(o.Group))
	case transport.Mkdir:
		return check("a path or a name", string(o.Path), string(o.Owner), string(o.Group))
	case transport.Link:
		return check("a path or a name", string(o.Path), string(o.Target), string(o.Owner), string(o.Group))
	case transport.Remove:
		return check("a path", string(o.Path))
	case transport.SetAttr:
		return check("a path or a name", string(o.Path), string(o.Owner), string(o.Group))
	}
	return nil
}

func (h *Host) masking() *mask {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mask
}

// hide swaps secrets for tokens in an answer.
func (h *Host) hide(op transport.Op, res transport.Result) (transport.Result, error) {
	m := h.masking()
	switch r := res.(type) {
	case transport.Output:
		return m.output(op, r)
	case transport.Written:
		if r.Validation != nil {
			out, err := m.output(op, *r.Validation)
			if err != nil {
				return nil, err
			}
			r.Validation = &out
		}
		return r, nil
	case transport.Data:
		if r.Content.Size > transport.ReadLimit {
			return r, nil // more than an op reads
		}
		b, err := r.Content.ReadAll(transport.ReadLimit)
		if err != nil {
			return nil, err
		}
		if err := planted(op, string(b)); err != nil {
			return nil, err
		}
		if hidden := m.text(string(b)); hidden != string(b) {
			if r.More {
				return nil, &transport.Error{Kind: transport.Refused, Message: op.Kind() + ": a secret is in a file that is too long to be read at once"}
			}
			r.Content = transport.String(hidden)
		}
		return r, nil
	case transport.Rows:
		r.Rows = slices.Clone(r.Rows) // the tables keep theirs
		for i, row := range r.Rows {
			fields := make(map[string]transport.Text, len(row.Fields))
			for k, v := range row.Fields {
				if err := planted(op, string(v)); err != nil {
					return nil, err
				}
				fields[k] = transport.Text(m.text(string(v)))
			}
			r.Rows[i].Fields = fields
		}
		return r, nil
	}
	return res, nil
}

func (m *mask) output(op transport.Op, o transport.Output) (transport.Output, error) {
	for _, t := range []*transport.Text{&o.Stdout, &o.Stderr} {
		if err := planted(op, string(*t)); err != nil {
			return o, err
		}
		*t = transport.Text(m.text(string(*t)))
	}
	return o, nil
}

// planted refuses an answer with what looks like a token: who put it there would be handed the secret when the bundle passes it on.
func planted(op transport.Op, s string) error {
	if !token.Planted(s) {
		return nil
	}
	return &transport.Error{Kind: transport.Refused, Message: op.Kind() + ": the host answers with the form of a secret's token, which no honest file or command holds"}
}

// hideError hides secrets in what an error says.
func (h *Host) hideError(err error) error {
	m := h.masking()
	if m == nil {
		return err
	}
	te, ok := errors.AsType[*transport.Error](err)
	if !ok {
		if s := m.text(err.Error()); s != err.Error() {
			return errors.New(s)
		}
		return err
	}
	msg, hint := m.text(te.Message), m.text(te.Hint)
	if msg == te.Message && hint == te.Hint {
		return err
	}
	out := *te
	out.Message, out.Hint, out.Err = msg, hint, nil
	return &out
}
