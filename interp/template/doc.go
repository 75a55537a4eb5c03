// Package template renders text templates that look like Jinja and whose expressions are Starlark.
//
// The rule: everything that can be known before a render is known after Compile. Included files are read and
// compiled then, filters, tests and their arguments are looked up then, and a name that neither the template nor
// its vars provide is reported then, with file, line and column.
//
// The trap: a template never changes a value that it was handed, not even an unfrozen one, and iterates without
// touching the iterator counts of lists and dicts. Whoever adds a filter must build a new value and must charge the
// run for the work (run.charge, run.grow): one template expression can otherwise ask for years of computing or for
// all memory of the machine.
//
// The promise: the same source and vars give the same bytes on every machine; a render sees nothing but its vars,
// ends within its step and size limits, stops when its context does, and every failure is an *Error with a position.
// A Template is immutable and may be rendered by any number of goroutines at once.
//
// docs/templates.md is the reference for people who write templates.
package template
