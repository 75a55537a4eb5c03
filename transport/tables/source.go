package tables

import (
	"context"
	"sync"

	"fabgo/transport"
)

// Source is the host as this package needs it: a way to read a whole small file (to its end, whatever its size says: files of /proc
// say 0) and a way to run a command that observes. Errors are *transport.Error, so that their kinds can be told apart.
type Source interface {
	ReadFile(ctx context.Context, path transport.Path) ([]byte, error)
	Exec(ctx context.Context, op transport.Exec) (transport.Output, error)
}

// Native is a Source on the host itself, where a look at a file costs no round trip. Over it, a Reader keeps what it parsed for as long
// as the files stay as they are, and runs no command for what files and systemd can tell.
type Native interface {
	Source
	// Stamp names the state of a file.
	Stamp(ctx context.Context, path transport.Path) (Stamp, error)
	// Names are the names in a folder, in any order.
	Names(ctx context.Context, folder transport.Path) ([]string, error)
	// ShowUnits gives the properties of units that `systemctl show` gives, in the order of names. An error of kind Unsupported means that
	// this host has no systemd running; ok is false where it has, but cannot be asked without a command.
	ShowUnits(ctx context.Context, names []string) (properties []map[string]string, ok bool, err error)
	// UnitNames are the names of the units that systemd holds and of those that have a file. ok and err are those of ShowUnits.
	UnitNames(ctx context.Context) (names []string, ok bool, err error)
}

// Stamp names a state of a file: while the stamp stays the same, so did the file. The zero Stamp says that nobody can tell, as of a file
// that was changed so short a time ago that its next change may get the same time.
type Stamp struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime int64 // nanoseconds
}

// kept is what was parsed out of a file, for as long as the file stays as it was.
type kept[T any] struct {
	mu    sync.Mutex
	stamp Stamp
	value T
}

// get answers what parse makes of the file's bytes; what it answers is shared and must not be changed.
func (k *kept[T]) get(ctx context.Context, src Source, path transport.Path, parse func([]byte) T) (T, error) {
	var none T
	n, ok := src.(Native)
	if !ok {
		b, err := src.ReadFile(ctx, path)
		if err != nil {
			return none, err
		}
		return parse(b), nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// The stamp is taken before the file is read: a change in between costs another reading, never a stale answer.
	stamp, err := n.Stamp(ctx, path)
	if err != nil {
		return none, err
	}
	if stamp != (Stamp{}) && stamp == k.stamp {
		return k.value, nil
	}
	b, err := src.ReadFile(ctx, path)
	if err != nil {
		return none, err
	}
	k.stamp, k.value = stamp, parse(b)
	return k.value, nil
}

// getOr is get, with what parse makes of nothing where the file is missing or may not be read.
func (k *kept[T]) getOr(ctx context.Context, src Source, path transport.Path, parse func([]byte) T) (T, error) {
	v, err := k.get(ctx, src, path, parse)
	switch transport.KindOf(err) {
	case transport.NotFound, transport.Denied:
		return parse(nil), nil
	}
	return v, err
}
