//go:build linux || darwin || freebsd

package local

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// fail sorts a failed system call by kind. what is the verb, such as "write"; p the path that the op is about.
func fail(what string, p transport.Path, err error) error {
	if err == nil {
		return nil
	}
	if te, ok := errors.AsType[*transport.Error](err); ok {
		return te
	}
	e := &transport.Error{Kind: transport.IO, Path: p, Err: err, Message: fmt.Sprintf("%s %s: %v", what, show(p), cause(err))}
	switch errno := errnoOf(err); errno {
	case unix.ENOSPC, unix.EDQUOT:
		e.Kind, e.Hint = transport.NoSpace, "make room on the disk (or raise the quota) and run again"
	case unix.EROFS:
		e.Kind, e.Hint = transport.ReadOnlyFS, "the file system is mounted read-only: see dmesg for why, or remount it"
	case unix.EACCES, unix.EPERM:
		e.Kind = transport.Denied
		if attr, where := protected(string(p)); errno == unix.EPERM && attr != "" {
			e.Message = fmt.Sprintf("%s %s: %s attribute set on %s", what, show(p), attr, show(transport.Path(where)))
			e.Hint = fmt.Sprintf("clear it with: chattr -%c %s", attr[0], show(transport.Path(where)))
		} else if unix.Geteuid() != 0 {
			e.Hint = "it needs root: run with --sudo"
		}
	case unix.ENOENT:
		e.Kind = transport.NotFound
	case unix.ELOOP, unix.ENOTDIR, unix.EISDIR, unix.ENOTEMPTY, unix.EEXIST, unix.EXDEV, unix.ENAMETOOLONG, unix.EINVAL:
		e.Kind = transport.Refused
	case unix.EBUSY:
		e.Hint = "it is a mount point or in use by the kernel"
	}
	return e
}

// protected reports the attribute that keeps even root from changing p, and where it is set: on p or on its folder.
func protected(p string) (attr, where string) {
	for _, where := range []string{p, path.Dir(p)} {
		if attr := attribute(where); attr != "" {
			return attr, where
		}
	}
	return "", ""
}

func refuse(what string, p transport.Path, why, hint string) error {
	return &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("%s %s: %s", what, show(p), why), Hint: hint}
}

func interrupted(what string, err error) error {
	return &transport.Error{Kind: transport.Interrupted, Message: what + ": interrupted: " + err.Error(), Err: err}
}

// errnoOf is the error number in err, or 0.
func errnoOf(err error) unix.Errno {
	errno, _ := errors.AsType[unix.Errno](err)
	return errno
}

// cause is the error without the paths and names of calls that the standard library puts around it: the message has better ones.
func cause(err error) error {
	if errno := errnoOf(err); errno != 0 {
		return errno
	}
	return err
}

// show is a path as messages have it: plain, unless it holds bytes that would garble a line.
func show(p transport.Path) string {
	for i := range len(p) {
		if c := p[i]; c < ' ' || c == 0x7f || c >= 0x80 {
			return fmt.Sprintf("%q", string(p))
		}
	}
	return string(p)
}
