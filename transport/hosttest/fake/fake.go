// Package fake is a Host in memory: a small Debian to test bundles and builtins against.
//
// The one rule: it passes the conformance suite, so what a test sees here is what a machine would answer. Accounts, packages and mounts
// are files of its tree (/etc/passwd, /var/lib/dpkg/status, ...) and are looked up as those of a real host are.
//
// The trap: it runs no programs. A command is a Go function, registered under the program's name; a few small ones are built in (see
// builtin.go). A program that exists as a file but has no function is an error of kind Unsupported, so that a test notices.
//
// The promise: the same ops give the same Snapshot, byte for byte; Log names every op that was asked, and FailNext makes any of them fail.
package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// Options are the settings of a Fake. The zero value is a Debian 12 with systemd.
type Options struct {
	Hostname  string // "" is "fake"
	NoSystemd bool   // no systemd runs: looking up units is Unsupported
	NoDpkg    bool   // no dpkg database
}

// Fake is the host. It is safe for concurrent use. It acts as root.
type Fake struct {
	opts Options

	mu       sync.Mutex
	root     *node
	clock    int64
	units    map[string]*unitState
	handlers []handler
	failures []failure
	log      []Record
}

// Record is one op that was asked, with its answer.
type Record struct {
	Op     transport.Op
	Result transport.Result // nil where Err is set
	Err    error
}

type failure struct {
	kind  transport.Kind
	match func(transport.Op) bool
}

// New makes a host.
func New(o Options) *Fake {
	if o.Hostname == "" {
		o.Hostname = "fake"
	}
	f := &Fake{opts: o, clock: 1_767_225_600, units: map[string]*unitState{}}
	f.root = newDir(0o755)
	f.install()
	f.builtins()
	return f
}

// Do implements transport.Host.
func (f *Fake) Do(ctx context.Context, op transport.Op) (transport.Result, error) {
	kind := f.injected(op)
	var res transport.Result
	var err error
	if kind != "" && kind != transport.Lost {
		err = &transport.Error{Kind: kind, Message: fmt.Sprintf("%s: a test made it fail", op.Kind())}
	} else if res, err = f.answer(ctx, op); kind == transport.Lost {
		res, err = nil, &transport.Error{Kind: kind, Message: fmt.Sprintf("%s: the connection broke after it was sent", op.Kind())}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, Record{Op: op, Result: res, Err: err})
	return res, err
}

func (f *Fake) answer(ctx context.Context, op transport.Op) (transport.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, interrupted(op.Kind(), err)
	}
	switch o := op.(type) {
	case transport.Stat:
		return answer(f.stat(o))
	case transport.List:
		return answer(f.list(o))
	case transport.Read:
		return answer(f.read(o))
	case transport.Lookup:
		return answer(tables.Lookup(ctx, source{f}, o))
	case transport.Exec:
		return answer(f.exec(ctx, o))
	case transport.Write:
		return answer(f.write(ctx, o))
	case transport.Unpack:
		return answer(transport.Done{}, f.unpack(ctx, o))
	case transport.Mkdir:
		return answer(transport.Done{}, f.mkdir(o))
	case transport.Link:
		return answer(transport.Done{}, f.link(o))
	case transport.Remove:
		return answer(transport.Done{}, f.remove(o))
	case transport.SetAttr:
		return answer(transport.Done{}, f.setAttr(o))
	}
	return nil, &transport.Error{Kind: transport.Unsupported, Message: op.Kind() + ": not a question for a machine"}
}

func answer[R transport.Result](r R, err error) (transport.Result, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// FailNext makes the next op that match accepts (nil: any op) fail with an error of the kind. An op is not carried out then, but for
// the kind Lost: it is, and only the answer is lost. Several calls queue up.
func (f *Fake) FailNext(kind transport.Kind, match func(transport.Op) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, failure{kind, match})
}

func (f *Fake) injected(op transport.Op) transport.Kind {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.failures, func(x failure) bool { return x.match == nil || x.match(op) })
	if i < 0 {
		return ""
	}
	kind := f.failures[i].kind
	f.failures = slices.Delete(f.failures, i, i+1)
	return kind
}

// Log is every op that Do was asked so far, in the order of their ends.
func (f *Fake) Log() []Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// ClearLog forgets the ops so far.
func (f *Fake) ClearLog() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = nil
}

// Commands are the argument vectors of the commands that Do ran so far.
func (f *Fake) Commands() [][]string {
	var out [][]string
	for _, r := range f.Log() {
		if o, ok := r.Op.(transport.Exec); ok {
			out = append(out, argv(o))
		}
	}
	return out
}

// source is the host for package tables. It does not go through Do: a Lookup is one op in the log.
type source struct{ f *Fake }

func (s source) ReadFile(_ context.Context, p transport.Path) ([]byte, error) {
	d, err := s.f.read(transport.Read{Path: p, Limit: 1 << 40})
	if err != nil {
		return nil, err
	}
	return d.Content.ReadAll(1 << 40)
}

// Exec knows what Lookup runs: handlers that a test registers are not asked.
func (s source) Exec(_ context.Context, op transport.Exec) (transport.Output, error) {
	if a := argv(op); a[0] == "systemctl" {
		return s.f.observeUnits(a[1:]), nil
	}
	return transport.Output{}, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("run %s: there is no such program", op.Argv[0])}
}

func argv(o transport.Exec) []string {
	out := make([]string, len(o.Argv))
	for i, a := range o.Argv {
		out[i] = string(a)
	}
	return out
}

func interrupted(what string, err error) error {
	return &transport.Error{Kind: transport.Interrupted, Message: what + ": interrupted: " + err.Error(), Err: err}
}

// fault makes an error of the seam, about a path.
func fault(kind transport.Kind, what string, p transport.Path, why string) error {
	return &transport.Error{Kind: kind, Path: p, Message: fmt.Sprintf("%s %s: %s", what, p, why)}
}

// sorted makes an error of the seam of any error.
func sorted(what string, err error) error {
	if te, ok := errors.AsType[*transport.Error](err); ok {
		return te
	}
	return &transport.Error{Kind: transport.IO, Message: fmt.Sprintf("%s: %v", what, err), Err: err}
}
