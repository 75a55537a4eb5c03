// Package module shares libraries between teams: git repositories at tagged versions, chosen by fab.mod, held by fab.lock.
//
// The one rule: what a name means is decided by fab.mod and fab.lock alone. The network is asked only for what is not in the cache yet, and
// what comes from it, or from the cache, is used only when its hash is the one in fab.lock.
//
// The trap: sources and versions come from the files of other repositories and end in the arguments of git. They are checked when they are
// parsed, so that nothing unchecked can reach a command.
//
// The promise: the same fab.mod and fab.lock give the same bytes everywhere, or an error that says which of them is not so.
package module

import (
	"fmt"
	"strings"
)

// The files of a repository.
const (
	ModName  = "fab.mod"
	LockName = "fab.lock"
	Vendor   = "vendor" // the folder in which copies of modules stand, each under its name
)

// maxName bounds the name of a module, which is part of the names of all its files.
const maxName = 64

// CheckName refuses what is no name of a module.
func CheckName(name string) error {
	valid := name != "" && len(name) <= maxName && name[0] >= 'a' && name[0] <= 'z' &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		})
	switch {
	case !valid:
		return fmt.Errorf("%q is no name of a module: write a lower-case letter, then letters, digits, - or _, %d at most", name, maxName)
	case name == "fab":
		return fmt.Errorf("the name fab belongs to the library inside the binary: choose another")
	}
	return nil
}
