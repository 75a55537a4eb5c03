//go:build unix

package helper

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fabgo/transport"
)

func place(t *testing.T) state {
	t.Helper()
	s := state(filepath.Join(t.TempDir(), "fabgo"))
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	return s
}

func take(t *testing.T, s state, run string) *Lock {
	t.Helper()
	l, held, err := s.acquire(t.Context(), Holder{User: "ann", Controller: "desk", Run: run, Bundle: "web1.star"}, func(Holder) { t.Error("it waited") })
	if err != nil || held {
		t.Fatal(held, err)
	}
	return l
}

func TestLock(t *testing.T) {
	s := place(t)
	if _, locked := s.locked(); locked {
		t.Error("a lock that nobody took is held")
	}
	first := take(t, s, "first")
	if h, locked := s.locked(); !locked || h.Run != "first" || h.User != "ann" {
		t.Errorf("%v, %+v", locked, h)
	}

	// Somebody else hears who has it, and leaves when he has had enough.
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	l, held, err := s.acquire(ctx, Holder{Run: "second"}, func(h Holder) {
		told++
		if h.Run != "first" {
			t.Errorf("told of %+v", h)
		}
		cancel()
	})
	if l != nil || !held || err != nil || told != 1 {
		t.Errorf("%v, %v, %v, told %d times", l, held, err, told)
	}

	// Who waits gets it when it is free.
	got := make(chan *Lock)
	go func() {
		l, _, _ := s.acquire(context.Background(), Holder{Run: "third"}, func(Holder) { first.Release() })
		got <- l
	}()
	select {
	case l := <-got:
		if l == nil {
			t.Fatal("it was not got")
		}
		if h, locked := s.locked(); !locked || h.Run != "third" {
			t.Errorf("%v, %+v", locked, h)
		}
		l.Release()
	case <-time.After(time.Minute):
		t.Fatal("it waits for ever")
	}
	if _, locked := s.locked(); locked {
		t.Error("a lock that was given back is held")
	}
}

// TestLockGuard: observing goes on without the lock, changing does not.
func TestLockGuard(t *testing.T) {
	for name, spoil := range map[string]func(lock string) error{
		"removed":     os.Remove,
		"replaced":    func(lock string) error { return errors.Join(os.Remove(lock), os.WriteFile(lock, nil, 0o600)) },
		"link":        func(lock string) error { return errors.Join(os.Remove(lock), os.Symlink("/dev/null", lock)) },
		"folder gone": func(lock string) error { return os.RemoveAll(filepath.Dir(lock)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := place(t)
			l := take(t, s, "run")
			defer l.Release()
			done := 0
			h := l.Guard(transport.HostFunc(func(context.Context, transport.Op) (transport.Result, error) { done++; return transport.Done{}, nil }))
			change := transport.Write{Path: "/x", Content: transport.String("x")}
			if _, err := h.Do(t.Context(), change); err != nil || done != 1 {
				t.Fatal(done, err)
			}
			if err := spoil(s.lock()); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Do(t.Context(), change); transport.KindOf(err) != transport.Refused || done != 1 || !strings.Contains(err.Error(), s.lock()) {
				t.Errorf("it changed %d times, %v", done, err)
			}
			if _, err := h.Do(t.Context(), transport.Stat{Path: "/x"}); err != nil || done != 2 {
				t.Errorf("looking: %v", err)
			}
		})
	}
}

// TestState: the folder is the acting user's own, or there is none.
func TestState(t *testing.T) {
	t.Run("opened up", func(t *testing.T) {
		s := place(t)
		if err := os.Chmod(string(s), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := s.open(); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(string(s)); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", st.Mode(), err)
		}
	})
	t.Run("a link", func(t *testing.T) {
		s := state(filepath.Join(t.TempDir(), "fabgo"))
		if err := os.Symlink(t.TempDir(), string(s)); err != nil {
			t.Fatal(err)
		}
		if err := s.open(); err == nil || !strings.Contains(err.Error(), "is not a folder") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a link for the lock", func(t *testing.T) {
		s := place(t)
		if err := os.Symlink("/dev/null", s.lock()); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.acquire(t.Context(), Holder{}, func(Holder) {})
		if te, ok := errors.AsType[*transport.Error](err); !ok || te.Kind != transport.Refused || te.Hint == "" {
			t.Errorf("%v", err)
		}
	})
	t.Run("deep", func(t *testing.T) { // names of sockets are short
		s := state(filepath.Join(t.TempDir(), strings.Repeat("deep/", 30), "fabgo"))
		dir := filepath.Dir(s.socket("run"))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := listen(s.socket("run"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := dial(s.socket("run"))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
}
