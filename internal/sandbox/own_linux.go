package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// In a user namespace the files of the machine's root belong to nobody, and
// not even root in there may change them or add to their folders. So the
// upper layer begins with a folder of ours for every folder of the system,
// which makes everything in them replaceable, and with copies of the small
// files that programs rewrite in place.

// maxCopies bounds the memory spent on copies.
const maxCopies = 256 << 20

// ownFolders fills the upper layer of the overlay on top.
func (t *tree) ownFolders(top, upper string) {
	if !(within(top, "/etc") || within(top, "/usr") || within(top, "/var") || within(top, "/opt") || within(top, "/srv")) {
		return
	}
	filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		to := upper + strings.TrimPrefix(path, top)
		switch {
		case err != nil:
			if d != nil && d.IsDir() {
				// A folder that may not be read: hide it, so that ours is just
				// empty. Without user xattrs on tmpfs (before Linux 6.6) it
				// stays unreadable, which is no worse than on the machine.
				unix.Setxattr(to, "user.overlay.opaque", []byte("y"), 0)
				return fs.SkipDir
			}
			return nil
		case path == top:
			return nil
		case d.IsDir():
			mode := fs.FileMode(0o755)
			if info, err := d.Info(); err == nil {
				mode = info.Mode() & (fs.ModePerm | fs.ModeSticky)
			}
			if os.Mkdir(to, 0o700) != nil || os.Chmod(to, mode) != nil {
				return fs.SkipDir
			}
		case d.Type().IsRegular() && rewritten(path) && t.copied < maxCopies:
			t.ownFile(path, to, d)
		}
		return nil
	})
}

// ownFile copies a file that programs rewrite. Of one that may not be read
// only the emptiness can be copied, which is all there is to a lock file.
func (t *tree) ownFile(path, to string, d fs.DirEntry) {
	info, err := d.Info()
	if err != nil || info.Size() > 1<<20 && !within(path, "/var/lib/dpkg") && !within(path, "/var/cache/debconf") {
		return
	}
	if info.Size() > 0 {
		err = t.copyTo(path, to, 16<<20)
	} else if err = os.WriteFile(to, nil, 0o600); err == nil {
		err = os.Chmod(to, info.Mode().Perm())
	}
	if err != nil {
		os.Remove(to)
	}
	if errors.Is(err, fs.ErrPermission) {
		t.closed = append(t.closed, path)
	}
}

// hideClosed removes, from the view of the sandbox, the files that nobody in
// there could read, replace in place or back up: to programs a missing file
// is a better answer than a locked one.
func (t *tree) hideClosed() {
	for _, path := range t.closed {
		os.Remove(t.root + path)
	}
}

// rewritten says whether programs are likely to write into a file in place.
// What dpkg and apt keep in great numbers they replace, which needs no copy.
func rewritten(path string) bool {
	if within(path, "/etc") || within(path, "/var/cache/debconf") {
		return true
	}
	switch filepath.Base(path) {
	case "lock", "lock-frontend":
		return true
	}
	for _, bulky := range []string{"/var/cache", "/var/tmp", "/var/lib/dpkg/info", "/var/lib/apt/lists", "/var/lib/docker", "/var/lib/containers"} {
		if within(path, bulky) {
			return false
		}
	}
	return within(path, "/var")
}
