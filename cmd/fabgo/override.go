package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"fabgo/internal/controller"
	"fabgo/internal/report"
	"fabgo/interp"
	"fabgo/transport"
)

// controller answers for this machine in a session of the run; with -v it tells, once for each, which file of a library the bundle replaces.
func (r *rollout) controller(host string) *controller.Controller {
	ctl := r.env.controller(r.opened)
	if r.flags.verbose == 0 {
		return ctl
	}
	ctl.Overridden = func(name, file string) {
		if _, told := r.told.LoadOrStore([2]string{host, name}, true); !told {
			r.notice(host, replaced(name, file))
		}
	}
	return ctl
}

func replaced(name, file string) string {
	return fmt.Sprintf("%s is used instead of %s", fromHere(file), name)
}

// tellOverrides says which of the files that a bundle names it replaces, as far as that can be told without running it.
func (e *env) tellOverrides(o *opened) {
	ctl := e.controller(o)
	var lines []string
	var mu sync.Mutex
	ctl.Overridden = func(name, file string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, replaced(name, file))
	}
	for _, name := range o.reads {
		if file := ctl.Replacement(name); file != "" {
			ctl.Overridden(name, file)
		}
	}
	for _, c := range o.bundle.LiteralCalls("file.sync") {
		if src, ok := c.Args["src"].Text(); ok {
			if name, err := interp.ResolveSource(c.File, src); err == nil {
				_, _ = ctl.Over(nil).Do(context.Background(), transport.Ask{What: transport.AskTree, Name: transport.Text(name)}) // the run tells what is wrong with it
			}
		}
	}
	slices.Sort(lines)
	for _, l := range slices.Compact(lines) {
		fmt.Fprintf(e.Stdout, "%s: %s\n", report.Escape(o.path), report.Escape(l))
	}
}
