package converge

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"fabgo/transport"
)

// maxLinks is how many symlinks a path may lead through, as in Linux (path_resolution(7)).
const maxLinks = 40

// errBroken says that a path breaks off before a ".." in a symlink, so that not even its end can be named.
var errBroken = errors.New("a symlink in it leads through a folder that does not exist")

// resolve follows the symlinks of a path, the last name only when asked. look tells what stands at a path whose folder has no symlinks;
// last says that no name follows. What it returns last is what stands at the end, or the absence at which the path breaks off.
func resolve(p transport.Path, follow bool, look func(p transport.Path, last bool) (transport.FileInfo, error)) (transport.Path, transport.FileInfo, error) {
	cur, rest := transport.Path("/"), names(string(p))
	var fi transport.FileInfo
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			cur, fi = cur.Dir(), transport.FileInfo{}
			continue
		}
		next := cur.Join(name)
		var err error
		if fi, err = look(next, len(rest) == 0); err != nil {
			return next.Join(rest...), fi, err
		}
		if fi.Type == transport.Symlink && (follow || len(rest) > 0) {
			if links++; links > maxLinks {
				return p, fi, &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("resolve %s: too many symlinks", p)}
			}
			if path.IsAbs(string(fi.Target)) {
				cur = "/"
			}
			rest = append(names(string(fi.Target)), rest...)
			fi = transport.FileInfo{}
			continue
		}
		if cur = next; len(rest) > 0 && fi.Type != transport.Dir { // nothing, or a file, where a folder is to be
			if slices.Contains(rest, "..") {
				return p, fi, errBroken
			}
			return cur.Join(rest...), transport.FileInfo{Type: transport.Absent}, nil
		}
	}
	if fi.Type == "" { // the root, or a way that ends going up
		var err error
		if fi, err = look(cur, true); err != nil {
			return cur, fi, err
		}
	}
	return cur, fi, nil
}

// names are the names that a path or the target of a symlink goes through.
func names(p string) []string {
	var out []string
	for name := range strings.SplitSeq(p, "/") {
		if name != "" && name != "." {
			out = append(out, name)
		}
	}
	return out
}

// followed is the path without symlinks, also in its last place, for ops that do not follow them.
func followed(ctx context.Context, h transport.Host, p transport.Path) (transport.Path, error) {
	q, _, err := resolve(p, true, func(p transport.Path, _ bool) (transport.FileInfo, error) {
		return transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p})
	})
	if err == errBroken {
		err = &transport.Error{Kind: transport.NotFound, Path: p, Message: fmt.Sprintf("resolve %s: %v", p, err), Err: err}
	}
	return q, err
}
