// Command fabgo deploys and maintains servers: it evaluates Starlark bundles against Linux hosts over SSH.
//
// The one rule: main gathers the outside world (streams, environment, clock, terminal) in an env and hands it down; nothing else in
// this package touches the process's own.
//
// The trap: what a run shows comes from its journal's records. A command that prints about a run by itself says it twice.
//
// The promise: exit codes are those of exit.go, standard output carries what was asked for and standard error all else, and the
// terminal is left as it was found.
package main

import (
	"os"
	"time"
)

// version is set by the linker (-X main.version=...).
var version = "devel"

func main() {
	collectLate()
	e := &env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Environ: os.Environ(), Args: os.Args[1:], Now: time.Now, Version: version, Terminal: openTerminal,
	}
	os.Exit(e.main())
}
