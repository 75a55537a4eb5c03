//go:build linux || darwin || freebsd

package local

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// folder is an open folder and the path that led there, free of symlinks.
type folder struct {
	fd   int
	path string
}

func (f *folder) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}

// join is the path of a name in the folder.
func (f *folder) join(name string) string { return path.Join(f.path, name) }

const openFolder = oSearch | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// walk opens the folder that holds p and answers p's last name. Folders are followed whoever owns them; symlinks only where nobody
// but root and the acting user can have made them: their owner and the owner of the folder they stand in are of these two, and others
// may not write there (in a sticky folder such as /tmp they may, for they cannot exchange what is not theirs).
func (h *Host) walk(what string, p transport.Path) (*folder, string, error) {
	if p == "/" {
		return nil, "", refuse(what, p, "it is the root folder", "")
	}
	parent := string(p.Dir())
	if !h.byComponent {
		if fd, err := openPlain(parent); err == nil {
			return &folder{fd, parent}, p.Base(), nil
		}
	}
	f, err := h.descend(what, p, parent, 0)
	if err != nil {
		return nil, "", err
	}
	return f, p.Base(), nil
}

// maxLinks is how many symlinks a path may lead through, as in the kernel.
const maxLinks = 40

// descend opens dir component by component. p is the path of the op, for messages.
func (h *Host) descend(what string, p transport.Path, dir string, links int) (*folder, error) {
	root, err := unix.Open("/", openFolder, 0)
	if err != nil {
		return nil, fail(what, p, err)
	}
	open := []*folder{{root, "/"}} // one for each component of the path so far
	done := false
	defer func() {
		for i, f := range open {
			if !done || i < len(open)-1 {
				f.close()
			}
		}
	}()
	rest := strings.Split(strings.Trim(dir, "/"), "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		here := open[len(open)-1]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(open) > 1 {
				here.close()
				open = open[:len(open)-1]
			}
			continue
		}
		fd, err := unix.Openat(here.fd, name, openFolder, 0)
		if err == nil {
			open = append(open, &folder{fd, here.join(name)})
			continue
		}
		at := transport.Path(here.join(name))
		if err == unix.ENOENT {
			return nil, &transport.Error{Kind: transport.NotFound, Path: p, Message: what + " " + show(p) + ": the folder " + show(at) + " does not exist", Err: err}
		}
		if err != unix.ELOOP && err != unix.ENOTDIR {
			return nil, fail(what, p, err)
		}
		target, err := h.trusted(what, p, here, name)
		if err != nil {
			return nil, err
		}
		if links++; links > maxLinks {
			return nil, refuse(what, p, "too many symlinks lead there", "")
		}
		if strings.HasPrefix(target, "/") {
			for _, f := range open[1:] {
				f.close()
			}
			open = open[:1]
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	done = true
	return open[len(open)-1], nil
}

// trusted is the target of the symlink name in here, or an error where it must not be followed.
func (h *Host) trusted(what string, p transport.Path, here *folder, name string) (string, error) {
	at := transport.Path(here.join(name))
	var link, dir unix.Stat_t
	if err := unix.Fstatat(here.fd, name, &link, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", fail(what, p, err)
	}
	if link.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", refuse(what, p, show(at)+" is not a folder", "")
	}
	if err := fstatNode(here.fd, &dir); err != nil {
		return "", fail(what, p, err)
	}
	ours := func(uid uint32) bool { return uid == 0 || int(uid) == h.self }
	if !ours(link.Uid) || !ours(dir.Uid) || dir.Mode&unix.S_IWOTH != 0 && dir.Mode&unix.S_ISVTX == 0 {
		return "", refuse(what, p, show(at)+" is a symlink that another user controls", "name the folder it points to instead")
	}
	return readlink(here.fd, name)
}

// end walks to p and then, when follow is set, through the symlinks that stand there. The name it answers is no symlink then, unless
// someone is at work.
func (h *Host) end(what string, p transport.Path, follow bool) (*folder, string, error) {
	f, name, err := h.walk(what, p)
	if err != nil {
		return nil, "", err
	}
	for links := 1; follow; links++ {
		var st unix.Stat_t
		if err := unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
			return f, name, nil
		}
		target, err := h.trusted(what, p, f, name)
		if err != nil {
			f.close()
			return nil, "", err
		}
		if links > maxLinks {
			f.close()
			return nil, "", refuse(what, p, "too many symlinks lead there", "")
		}
		if !strings.HasPrefix(target, "/") {
			target = f.path + "/" + target
		}
		f.close()
		if path.Clean(target) == "/" || path.Base(target) == ".." {
			return nil, "", refuse(what, p, "the symlink leads to a folder", "")
		}
		dir, base := path.Split(strings.TrimRight(target, "/"))
		if f, err = h.descend(what, p, dir, links); err != nil {
			return nil, "", err
		}
		name = base
	}
	return f, name, nil
}

func readlink(fd int, name string) (string, error) {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		n, err := unix.Readlinkat(fd, name, b)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(b[:n]), nil
		}
	}
}
