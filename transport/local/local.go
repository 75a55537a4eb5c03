// Package local is the Host for the machine that fabgo itself runs on: system calls, no shell, no SSH.
//
// The one rule: a change reaches its file through an open folder. The walk to that folder follows no symlink that someone other than
// root or the acting user could have put there, and every name after it is relative to the folder's descriptor, so that nobody can
// exchange what lies under a path between the check and the act.
//
// The trap: root's file operations fail for reasons that are no permissions: an immutable attribute, a read-only mount, a mount point
// in the way. Errors are sorted by kind here, where errno is still at hand, and nowhere else.
//
// The promise: a Write is seen whole or not at all, with its owner and mode, and leaves no temporary file behind when it fails. A
// process that is killed in mid-write can leave one: `.NAME.fabgo-RANDOM` beside the file, which nothing reads.
package local

import "time"

// Options are the settings of a Host. The zero value is good.
type Options struct {
	// Grace is how long a command that ran out of time has between SIGTERM and SIGKILL. 0 means two seconds.
	Grace time.Duration
	// LazySync leaves it to Sync to bring new files to the disk, all of them at once. Until then a host that goes down may have them
	// empty. A file that replaces another is brought there before it does, so that one or the other survives.
	LazySync bool
}
