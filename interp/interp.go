// Package interp evaluates .star files: bundles, the libraries they load, and the prelude that says what they can call.
//
// The one rule: evaluation reads nothing. Open takes a snapshot of the bundle and everything it loads (the closure),
// found from the load statements without running a line; from then on only the snapshot is read. The same snapshot can
// be shipped and opened elsewhere (Closure, OpenClosure).
//
// The trap: Starlark's step limit counts steps, not work. A few steps can build a gigabyte or an expression that the
// printer needs years for. What can be bounded cheaply in this process is (source size, nesting, steps, printed bytes,
// the depth and size of JSON); the rest needs a process that can be killed, with limits of its own.
//
// The promise: an error from here can be handed to Explain, which says where in the user's files it happened, whatever
// layers of loading, prelude and Go the error went through; errors.Is and errors.As see through all of them.
//
// interp knows nothing of hosts. Sessions and the like reach natives as opaque values in the locals of a thread.
//
// # Docstrings
//
// The prelude's documentation is its text. A docstring starts with a line that says all (the summary), then, after a
// blank line, as much text as it needs, and then any of these sections, in any order:
//
//	Args:
//	  name: what it means, its unit, what happens without it;
//	    a continuation line is indented deeper.
//	Returns:
//	  what comes back
//	Errors:
//	  when it fails
//	Example:
//	  file.put("/etc/motd", content = "hi")
package interp

import (
	"fmt"
	"io/fs"

	"go.starlark.net/starlark"
)

// Options says what bundles can see. The zero value is bare Starlark with loads from the bundle's own repository.
type Options struct {
	// Root is the folder that "//" means, for Open. Empty: the nearest folder at or above the bundle's that holds
	// fab.mod, .git or .fabgo, else the bundle's own.
	Root string

	// Prelude holds .star files at its top: each is a family of builtins (file.star gives file.put), but for Core,
	// whose functions get plain names (run, note). May be nil.
	Prelude fs.FS
	// Core is the prelude file with the plain names. Empty: "core.star".
	Core string
	// Natives are the Go functions under the prelude; their names begin with an underscore and only prelude files
	// see them.
	Natives starlark.StringDict

	// BundleOnly names functions of Core that libraries cannot use (var, secret), with the sentence that says why.
	BundleOnly map[string]string
	// PerHost names values that each Exec provides afresh (host), seen by the bundle alone. A prelude file of that name
	// documents what the value offers, and is what static checks go by.
	PerHost []string
	// PerHostAttrs names the attributes of those values that are no functions of the prelude (host.os).
	PerHostAttrs map[string][]string

	// Fab is the library inside the binary: load("@fab//x.star"). May be nil.
	Fab fs.FS
	// Modules finds the library of another team by its name, load("@acme//users.star"), as a file of the library from ("" for the
	// repository) means it. A name means the same to all; whether a library may use it is for each to say. May be nil.
	Modules func(from, name string) (fs.FS, error)

	// MaxSteps bounds the Starlark steps of one Instance, tasks included. Zero means DefaultMaxSteps.
	MaxSteps uint64

	// Trace, when there is one, is told where opening and evaluation are: the file that is read, and the line, before
	// each builtin that may do much and every now and then between, often at first. It is called by the goroutine that
	// evaluates, and it must be quick. What ends a process from outside can say by it where the process was.
	Trace func(Position)
}

// Interp is a prelude, executed and frozen, and the rules by which bundles are opened. It may be used by many
// goroutines.
type Interp struct {
	opts    Options
	prelude *prelude
	bundle  scope // what a bundle may name
	library scope // what a library may name
}

// New executes the prelude. An error here is a defect of the prelude, not of a bundle.
func New(o Options) (*Interp, error) {
	if o.Core == "" {
		o.Core = "core.star"
	}
	if o.MaxSteps == 0 {
		o.MaxSteps = DefaultMaxSteps
	}
	for name := range o.Natives {
		if name == "" || name[0] != '_' {
			return nil, fmt.Errorf("interp: native %q: the names of natives begin with an underscore", name)
		}
	}
	language := dialect()
	p, err := loadPrelude(o, language)
	if err != nil {
		return nil, fmt.Errorf("interp: prelude: %w", err)
	}
	for name := range o.BundleOnly {
		if p.core[name] == nil {
			return nil, fmt.Errorf("interp: BundleOnly names %q, which the prelude does not define", name)
		}
	}
	in := &Interp{opts: o, prelude: p}
	in.bundle = in.bundleScope(language)
	in.library = in.libraryScope(language)
	return in, nil
}

// scope is what a file may name without defining it.
type scope struct {
	values  starlark.StringDict
	perHost map[string]bool
	reasons map[string]string // names that exist elsewhere, and why not here
}

func (s scope) has(name string) bool { return s.perHost[name] || s.values.Has(name) }

// names is every name of the scope, the language's own included, for "did you mean".
func (s scope) names() []string {
	names := append(s.values.Keys(), starlark.Universe.Keys()...)
	for n := range s.perHost {
		names = append(names, n)
	}
	return names
}

func (in *Interp) bundleScope(language starlark.StringDict) scope {
	s := scope{values: starlark.StringDict{}, perHost: map[string]bool{}}
	for _, d := range []starlark.StringDict{language, in.prelude.core, in.prelude.families} {
		for n, v := range d {
			s.values[n] = v
		}
	}
	for _, n := range in.opts.PerHost {
		s.perHost[n] = true
	}
	return s
}

func (in *Interp) libraryScope(language starlark.StringDict) scope {
	s := in.bundleScope(language)
	s.reasons = map[string]string{}
	for n, why := range in.opts.BundleOnly {
		delete(s.values, n)
		s.reasons[n] = why
	}
	for n := range s.perHost {
		delete(s.values, n)
		s.reasons[n] = "a library has no host: hand it the values it needs as parameters"
	}
	s.perHost = nil
	return s
}
