//go:build !unix

package helper

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"time"

	"fabgo/transport"
)

// The far end is a Unix; this file lets the controller be built elsewhere.

var errNoHelper = errors.New("this system cannot be managed by fabgo, only where it is typed")

// Lock is held while a run works on a host.
type Lock struct{}

func (state) acquire(context.Context, Holder, func(Holder)) (*Lock, bool, error) {
	return nil, false, errNoHelper
}
func (state) locked() (Holder, bool) { return Holder{}, false }

// Acquire is for machines that fabgo manages.
func Acquire(context.Context, Holder, time.Duration, func(Holder)) (*Lock, *Holder, error) {
	return nil, nil, errNoHelper
}

// Guard is h.
func (*Lock) Guard(h transport.Host) transport.Host { return h }

// Release does nothing.
func (*Lock) Release() {}

func lockHint(err error) error            { return err }
func ownerOf(fs.FileInfo) (int, bool)     { return 0, false }
func relayToOwner(Env, string) error      { return errNoHelper }
func relayToResumed(Env, string) error    { return errNoHelper }
func relayToRun(Env, string) error        { return errNoHelper }
func listen(string) (net.Listener, error) { return nil, errNoHelper }
func ownRun(string, string) error         { return errNoHelper }
