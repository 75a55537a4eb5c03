// Package confine runs a process of ours that may be led astray by its input: under limits on memory, processor time and
// time, and with the certainty that it ends when its parent does.
//
// The one rule: what the child says about itself is not trusted to hold a limit. The parent measures, the kernel refuses;
// the child only sets its garbage collector, and tells where it is.
//
// The trap: a limit on time must not count what the child waits for. CPU and Wall are those of one stretch, the time
// from one answer of the parent to the child's next question; the parent says when a stretch ends (Waiting).
//
// The promise: Wait returns; what it returns says whether a limit ended the child, which one, and where the child last
// said it was. Nothing of the child's process group is left then.
//
// What holds where:
//
//	            memory                       cpu                   wall   death of the parent
//	Linux       RLIMIT_DATA, watchdog        watchdog, RLIMIT_CPU  yes    SIGKILL (parent-death signal)
//	macOS, BSD  the collector's goal only    RLIMIT_CPU (Total)    yes    the child reads the end of its input
//	Windows     the collector's goal only    none                  yes    the child reads the end of its input
//
// docs/decisions/0011-confine.md says what was measured.
package confine

import (
	"fmt"
	"time"
)

// The limits that hold where Limits says nothing. A bundle of a thousand resources computes for a second in all, and for
// milliseconds between two of its ops.
const (
	DefaultMemory = 512 << 20
	DefaultCPU    = 3 * time.Second
	DefaultWall   = time.Minute
	DefaultTotal  = 10 * time.Minute
)

// maxStack bounds the stack of one goroutine of the child. While a stack grows there are two of them, so this is far
// below the memory that the child may have.
const maxStack = 64 << 20

// Limits bounds a child. A zero field means the default, a negative one means no limit.
type Limits struct {
	// Memory is in bytes: what the child has resident stays below it. The child is ended when a sixteenth is left, which
	// is what can come before the next look. Below 96 MiB there is no room for the Go runtime.
	Memory int64
	// CPU is the processor time of one stretch of computing, on all processors together.
	CPU time.Duration
	// Wall is the time of one stretch, for a child that neither computes nor asks.
	Wall time.Duration
	// Total is the processor time of the child's whole life.
	Total time.Duration

	watchOnly bool // leave the kernel out of it, as before 4.7; for tests
}

func (l Limits) withDefaults() Limits {
	if l.Memory == 0 {
		l.Memory = DefaultMemory
	}
	if l.CPU == 0 {
		l.CPU = DefaultCPU
	}
	if l.Wall == 0 {
		l.Wall = DefaultWall
	}
	if l.Total == 0 {
		l.Total = DefaultTotal
	}
	return l
}

// memoryStop is where the child is ended.
func (l Limits) memoryStop() int64 { return l.Memory - l.Memory/16 }

// totalSeconds is Total for the kernel, which counts in seconds and must come after the watchdog; 0 is no limit.
func (l Limits) totalSeconds() uint64 {
	if l.Total < 0 {
		return 0
	}
	return uint64((l.Total+time.Second-1)/time.Second) + 1
}

// bytesText writes 536870912 as "512 MiB".
func bytesText(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
