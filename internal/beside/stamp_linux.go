package beside

import (
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

// fresh is how long after a change a file may change again without a later time in its inode: a tick of the clock, or two seconds on old
// file systems.
const fresh = 3 * time.Second

// stamp is equal for as long as the file is the same and unchanged: who writes to it cannot set back its inode's change time. It is not settled
// while the file is fresh.
func stamp(info fs.FileInfo, now time.Time) (mark string, settled bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	mark = fmt.Sprintf("%d %d %d %d.%09d %d.%09d", st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
	return mark, now.Sub(time.Unix(st.Ctim.Unix())) > fresh
}
