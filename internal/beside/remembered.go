package beside

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fabgo/transport"
)

// The digest of a helper is remembered in the cache beside what the file system says of the file: device, inode, size, and when its content
// and its inode were changed. Nobody but the kernel sets the last of these. As in git, a file that changed just before it was looked at is
// not taken for known, since it may change once more within the same tick of the clock.

// settled is how long a file has to be left alone before its digest is remembered.
const settled = 2 * time.Second

// memo is the file in the cache that remembers the digest of a helper; "" for none.
func memo(cache, file string) string {
	if cache == "" {
		return ""
	}
	return filepath.Join(cache, "digest-"+strings.TrimPrefix(string(transport.DigestOf([]byte(file))), "sha256:")[:32])
}

// remembered is the digest of an open file, if it is known and the file is still what it was then.
func remembered(cache, file string, st os.FileInfo) (digest string, ok bool) {
	id, _ := identity(st)
	if id == "" || cache == "" {
		return "", false
	}
	b, err := os.ReadFile(memo(cache, file))
	if err != nil {
		return "", false
	}
	digest, ok = strings.CutPrefix(string(b), id+"\n")
	return digest, ok && len(digest) == 64 && strings.Trim(digest, "0123456789abcdef") == ""
}

// remember keeps the digest of a file that was read as st has it. A cache that cannot be written is none.
func remember(cache, file string, st os.FileInfo, digest string) {
	id, changed := identity(st)
	if id == "" || cache == "" || time.Since(changed) < settled || os.MkdirAll(cache, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(cache, ".part-")
	if err != nil {
		return
	}
	_, err = fmt.Fprintf(f, "%s\n%s", id, digest)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), memo(cache, file))
	}
	if err != nil {
		os.Remove(f.Name())
	}
}
