//go:build unix

package helper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"fabgo/transport"
)

// Lock is held while a run works on a host. The kernel frees it when the process that holds it dies or the host reboots.
type Lock struct {
	state state
	f     *os.File
}

// acquire takes the lock. When somebody else has it, it says so to waiting, once, and waits until ctx ends: then held is true.
func (s state) acquire(ctx context.Context, h Holder, waiting func(Holder)) (l *Lock, held bool, err error) {
	f, err := os.OpenFile(s.lock(), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("take the lock of the host: %w", lockHint(err))
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		waiting(s.whoHolds())
		err = waitForLock(ctx, f)
	}
	if err != nil {
		f.Close()
		if ctx.Err() != nil {
			return nil, true, nil
		}
		return nil, false, fmt.Errorf("take the lock of the host: %w", err)
	}
	l = &Lock{s, f}
	b, err := json.Marshal(h)
	if err == nil {
		err = os.WriteFile(s.holder(), b, 0o600)
	}
	if err != nil { // its text is for others' messages only
		os.Remove(s.holder())
	}
	return l, false, nil
}

// Acquire takes the lock of this machine for a run that is evaluated by the controller itself. Without one, the Holder says who has it.
func Acquire(ctx context.Context, h Holder, wait time.Duration, waiting func(Holder)) (*Lock, *Holder, error) {
	s, err := stateDir()
	if err == nil {
		err = s.open()
	}
	if err != nil {
		return nil, nil, lockHint(err)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var holder Holder
	l, held, err := s.acquire(ctx, h, func(h Holder) {
		if holder = h; wait > 0 {
			waiting(h)
		}
	})
	if held {
		return nil, &holder, nil
	}
	return l, nil, err
}

// lockPoll is how often somebody who waits for a lock asks for it. A flock that blocks cannot be called off: it may get the lock
// when nobody wants it any more.
const lockPoll = 50 * time.Millisecond

func waitForLock(ctx context.Context, f *os.File) error {
	again := time.NewTicker(lockPoll)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// whoHolds reads what the holder of the lock says of itself.
func (s state) whoHolds() Holder {
	var h Holder
	if b, err := os.ReadFile(s.holder()); err == nil {
		_ = json.Unmarshal(b, &h) // half a file is nobody
	}
	return h
}

// locked reports who holds the lock at the moment. It changes nothing.
func (s state) locked() (Holder, bool) {
	f, err := os.Open(s.lock())
	if err != nil {
		return Holder{}, false
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return s.whoHolds(), true
	}
	return Holder{}, false
}

// held checks that the lock is what others see too. Somebody may have removed the file; then they see another one.
func (l *Lock) held() error {
	mine, err := l.f.Stat()
	if err == nil {
		var seen fs.FileInfo
		if seen, err = os.Lstat(l.state.lock()); err == nil && os.SameFile(mine, seen) {
			return nil
		}
	}
	return &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("the lock %s was taken away under this run, so nothing more is changed", l.state.lock()),
		Hint: "run again; nothing but fabgo should touch its folder", Err: err}
}

// Guard lets changing ops pass only while the lock is held.
func (l *Lock) Guard(h transport.Host) transport.Host {
	return transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
		if op.Changes() {
			if err := l.held(); err != nil {
				return nil, err
			}
		}
		return h.Do(ctx, op)
	})
}

// Release frees the lock.
func (l *Lock) Release() {
	os.Remove(l.state.holder())
	l.f.Close()
}

func lockHint(err error) error {
	e := &transport.Error{Kind: transport.IO, Message: err.Error(), Err: err}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Kind, e.Hint = transport.NoSpace, "make room: fabgo keeps its lock and the journal of the run there"
	case errors.Is(err, syscall.EROFS):
		e.Kind, e.Hint = transport.ReadOnlyFS, "fabgo keeps its lock and the journal of the run there"
	case errors.Is(err, syscall.ELOOP):
		e.Kind, e.Hint = transport.Refused, "the lock is a symlink: remove it"
	case errors.Is(err, fs.ErrPermission):
		e.Kind = transport.Denied
	}
	return e
}

func ownerOf(st fs.FileInfo) (uid int, ok bool) {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(sys.Uid), true
}
