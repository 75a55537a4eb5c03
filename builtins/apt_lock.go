package builtins

import (
	"context"
	"fmt"
	"strings"

	"fabgo/transport"
)

// lockScript prints the file, process and program of the first lock of apt's and dpkg's that is held, as /proc/locks has it.
const lockScript = `for f in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/cache/apt/archives/lock; do
	i=$(stat -c %i "$f" 2>/dev/null) || continue
	while read -r n type adv rw pid file rest; do
		case "$type $file" in POSIX\ *:"$i")
			name=; [ -r "/proc/$pid/comm" ] && read -r name <"/proc/$pid/comm"
			echo "$f $pid $name"; exit 0;;
		esac
	done </proc/locks
done 2>/dev/null
exit 0`

// holder is who holds a lock.
type holder struct{ file, pid, program string }

// String says who holds it.
func (l holder) String() string {
	who := "another program"
	switch {
	case l.program != "":
		who = fmt.Sprintf("%s (process %s)", l.program, l.pid)
	case l.pid != "" && l.pid != "0":
		who = "process " + l.pid
	}
	return "the packages are locked by " + who
}

// aptLock looks whether another package manager is at work. A host that does not tell has no lock: apt finds out then.
func aptLock(ctx context.Context, h transport.Host) (holder, error) {
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts("/bin/sh", "-c", lockScript)})
	if err != nil {
		return holder{}, err
	}
	line, _, _ := strings.Cut(string(out.Stdout), "\n")
	f := strings.SplitN(line, " ", 3)
	if out.Code != 0 || len(f) < 2 {
		return holder{}, nil
	}
	l := holder{file: f[0], pid: f[1]}
	if len(f) == 3 {
		l.program = f[2]
	}
	return l, nil
}

var heldBy = whenUsed(`held by process (\d+)(?: \(([^)]+)\))?`)

// aptLocked reports whether apt failed since another program holds a lock, before it changed anything.
func aptLocked(said string) bool {
	if strings.Contains(said, "are you root") || strings.Contains(said, "Permission denied") { // nobody holds it: it cannot be opened
		return false
	}
	return strings.Contains(said, "Could not get lock") || strings.Contains(said, "Unable to acquire the dpkg frontend lock") ||
		strings.Contains(said, "dpkg frontend lock was locked by another process") || strings.Contains(said, "Unable to lock ")
}

// aptLockIn reads the holder out of apt's own complaint.
func aptLockIn(said string) holder {
	m := heldBy().FindStringSubmatch(said)
	if m == nil {
		return holder{}
	}
	return holder{pid: m[1], program: m[2]}
}
