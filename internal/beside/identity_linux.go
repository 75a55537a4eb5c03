package beside

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// identity is what the kernel says of a file, and when it was changed in any way.
func identity(st os.FileInfo) (string, time.Time) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return "", time.Time{}
	}
	changed := time.Unix(int64(s.Ctim.Sec), int64(s.Ctim.Nsec)) // of 32 bits on some platforms
	return fmt.Sprintf("%d %d %d %d %d", s.Dev, s.Ino, s.Size, st.ModTime().UnixNano(), changed.UnixNano()), changed
}
