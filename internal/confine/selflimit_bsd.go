//go:build darwin || freebsd

package confine

import "golang.org/x/sys/unix"

// limitSelf sets the limits that only the process itself can set here.
func limitSelf(o orders) {
	if o.TotalSeconds == 0 {
		return
	}
	var l unix.Rlimit
	set(&l.Cur, o.TotalSeconds)
	set(&l.Max, o.TotalSeconds)
	unix.Setrlimit(unix.RLIMIT_CPU, &l)
}

// set bridges the systems, which do not agree on the sign.
func set[T int64 | uint64](to *T, n uint64) { *to = T(n) }
