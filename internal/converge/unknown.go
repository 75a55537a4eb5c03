package converge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"fabgo/transport"
)

// Cause is a step of a plan that keeps something from being known.
type Cause struct {
	Step int
	What string // "pkg.install package:nginx"
	Pos  string // "web1.star:12:5"
}

// String says which step it was.
func (c Cause) String() string {
	s := fmt.Sprintf("step %d (%s", c.Step, c.What)
	if c.Pos != "" {
		s += ", " + c.Pos
	}
	return s + ")"
}

// Unknown is the answer of a plan to a question that only the run can answer.
type Unknown struct {
	What  string
	Cause Cause
}

// Error says what is unknown and why.
func (u *Unknown) Error() string {
	return fmt.Sprintf("%s is not known before the run, because of %s", u.What, u.Cause)
}

// CauseOf is the cause of an Unknown in err's chain, or nil.
func CauseOf(err error) *Cause {
	if u, ok := errors.AsType[*Unknown](err); ok {
		return &u.Cause
	}
	return nil
}

// Scope says which objects an opaque change may have made. The zero Scope is all of them.
type Scope struct {
	// Packages limits it to what a Debian package may bring: everything but files below the folders that Debian Policy 9.1.2 and
	// FHS 3.0 leave to the administrator, and kernel settings.
	Packages bool
	// Listed says that all the packages that come or go are predicted one by one, so that no other does.
	Listed bool
	// Kernel limits it to what a module of the kernel may bring: kernel settings, and files that the kernel itself makes.
	Kernel bool
}

var administrators = []string{"/home/", "/root/", "/srv/", "/usr/local/", "/mnt/", "/media/", "/tmp/", "/var/tmp/"}

// kernels are the folders whose files the kernel makes.
var kernels = []string{"/dev/", "/proc/", "/sys/"}

func (s Scope) covers(k Key) bool {
	switch {
	case s.Kernel:
		return k.Table == transport.Sysctls || k.Table == FileTable && slices.ContainsFunc(kernels, func(f string) bool { return strings.HasPrefix(k.Name, f) })
	case !s.Packages:
		return true
	}
	switch k.Table {
	case FileTable:
		for _, a := range administrators {
			if strings.HasPrefix(k.Name, a) {
				return false
			}
		}
	case transport.Sysctls, transport.Mounts:
		return false
	case transport.Packages:
		return !s.Listed
	}
	return true
}

type opaque struct {
	scope Scope
	cause Cause
}
