package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fabgo/builtins"
	"fabgo/bundles"
	"fabgo/internal/module"
	"fabgo/interp"
)

// opened is a bundle that is ready to be played.
type opened struct {
	path   string // as it was given
	in     *interp.Interp
	bundle *interp.Bundle
	shared *module.Repository // the modules that it uses; nil for one that was recorded
	tasks  []interp.TaskCall
	reads  []string // files that it will read, as far as can be told: the names that an Ask would use
}

// open reads and checks a bundle and the tasks that are asked of it.
func (e *env) open(path string, words []string) (*opened, error) {
	o, err := e.read(path)
	if err != nil {
		return nil, err
	}
	if o.tasks, err = o.bundle.ParseTasks(words); err != nil {
		return nil, usage("%w", err)
	}
	return o, nil
}

// read reads and checks a bundle.
func (e *env) read(path string) (*opened, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return nil, usage("%s is a folder: name a bundle, such as %s", path, filepath.Join(path, "web1.star"))
	} else if errors.Is(err, fs.ErrNotExist) {
		return nil, invalid(fmt.Errorf("open %s: there is no such file", path))
	}
	shared, err := e.repository(path)
	if err != nil {
		return nil, err
	}
	in, err := builtins.Interp(interp.Options{Fab: bundles.Fab(), Modules: used(shared)})
	if err != nil {
		return nil, err
	}
	b, problems, err := in.Check(path, interp.CheckOptions{NeedsSession: func(string) bool { return true }})
	if err != nil {
		return nil, invalid(err)
	}
	if len(problems) > 0 {
		return nil, invalid(problems)
	}
	o := &opened{path: path, in: in, bundle: b, shared: shared}
	ctl := e.controller(o)
	ps := builtins.CheckArguments(b)
	ps = append(ps, builtins.CheckTemplates(b, func(name string) ([]byte, error) {
		o.reads = append(o.reads, name)
		return ctl.Read(name, 4<<20)
	})...)
	if len(ps) > 0 {
		return nil, invalid(ps)
	}
	for _, c := range b.LiteralCalls("file.put") {
		if src, ok := c.Args["src"].Text(); ok {
			if name, err := interp.ResolveSource(c.File, src); err == nil {
				o.reads = append(o.reads, name)
			}
		}
	}
	return o, nil
}

// target is the host that a bundle is for by its name.
func (o *opened) target() string {
	return strings.TrimSuffix(filepath.Base(o.path), ".star")
}

// absolute is the bundle's path, for journals.
func (o *opened) absolute() string {
	p, err := filepath.Abs(o.path)
	if err != nil {
		return o.path
	}
	return p
}
