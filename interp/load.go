package interp

import (
	"context"
	"errors"
	"sync"

	"go.starlark.net/starlark"
)

// libraries executes each library of a bundle once, whoever asks first, and hands the frozen result to all. Load
// statements cannot form a cycle (the scan refused those), so loads waiting for loads end.
type libraries struct {
	bundle *Bundle
	values starlark.StringDict // what libraries see

	mu      sync.Mutex
	modules map[string]*loading
}

// loading is a library being executed, or done.
type loading struct {
	done   chan struct{}
	module *module
	err    error
	again  bool // the one who executed was told to stop: the next in line executes anew
}

// module is an executed library.
type module struct {
	globals starlark.StringDict
	loads   []*module // in the order of their loading
	prints  []printed
}

// printed is a line that a library wrote while it was loaded. Each host that loads the library hears it, as if the
// library ran for it alone: what a host prints must not depend on which other hosts there are.
type printed struct {
	pos Position
	msg string
}

// replay gives the prints of m, and of what it loads first, to a host that has not heard them.
func (m *module) replay(heard map[*module]bool, say func(printed)) {
	if heard[m] {
		return
	}
	heard[m] = true
	for _, l := range m.loads {
		l.replay(heard, say)
	}
	for _, p := range m.prints {
		say(p)
	}
}

func newLibraries(b *Bundle) *libraries {
	return &libraries{bundle: b, values: b.in.library.values, modules: map[string]*loading{}}
}

// load returns the library, executing it if nobody has. Being told to stop is no property of the library: only the one
// who executes it stops, and another takes over.
func (l *libraries) load(ctx context.Context, name string) (*module, error) {
	for {
		l.mu.Lock()
		entry, found := l.modules[name]
		if !found {
			entry = &loading{done: make(chan struct{})}
			l.modules[name] = entry
		}
		l.mu.Unlock()
		if !found {
			l.lead(ctx, name, entry)
		}
		select {
		case <-entry.done:
			if entry.again && ctx.Err() == nil {
				continue
			}
			return entry.module, entry.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *libraries) lead(ctx context.Context, name string, entry *loading) {
	entry.module, entry.err = l.exec(ctx, l.bundle.units[name])
	if entry.err != nil && ctx.Err() != nil {
		entry.again = true
		l.mu.Lock()
		delete(l.modules, name)
		l.mu.Unlock()
	}
	close(entry.done)
}

// exec runs the top level of a library on a thread of its own, which has no session: there is no host to act on.
func (l *libraries) exec(ctx context.Context, u *unit) (*module, error) {
	if u == nil {
		return nil, errors.New("it is not in the closure")
	}
	m := &module{}
	thread := &starlark.Thread{Name: "load " + u.name}
	g := newGuard(ctx, thread, min(maxLibrarySteps, l.bundle.in.opts.MaxSteps), l.bundle.in.opts.Trace)
	thread.Print = func(t *starlark.Thread, msg string) {
		if g.print(t, msg) {
			m.prints = append(m.prints, printed{CallerPos(t), msg})
		}
	}
	thread.Load = func(_ *starlark.Thread, raw string) (starlark.StringDict, error) {
		lib, err := l.load(ctx, u.loads[raw])
		if err != nil {
			return nil, err
		}
		m.loads = append(m.loads, lib)
		return lib.globals, nil
	}
	err := g.run(l.bundle, thread, func() (err error) {
		m.globals, err = u.prog.Init(thread, l.values)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.globals.Freeze()
	return m, nil
}
