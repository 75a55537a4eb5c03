//go:build !unix || solaris || illumos || aix

package ssh

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// lockFile keeps others out by a second file that only one can create. A lock that is a minute old was left by a crash.
func lockFile(f *os.File) (unlock func(), err error) {
	name := f.Name() + ".lock"
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		l, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			l.Close()
			return func() { os.Remove(name) }, nil
		}
		if !errors.Is(err, os.ErrExist) && !errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if st, serr := os.Stat(name); serr == nil && time.Since(st.ModTime()) > time.Minute {
			os.Remove(name)
		}
		if time.Since(start) > 30*time.Second {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}
