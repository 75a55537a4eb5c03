package fake

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fabgo/transport"
	"fabgo/transport/tables"
)

func (f *Fake) stat(o transport.Stat) (transport.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	absent := transport.FileInfo{Type: transport.Absent}
	at, err := f.resolve("stat", o.Path, o.Follow)
	if err != nil {
		if _, bad := transport.NewPath(string(o.Path)); bad == nil && f.missing(o.Path) {
			return absent, nil
		}
		return transport.FileInfo{}, err
	}
	if at.node == nil {
		return absent, nil
	}
	info := f.info(at.node)
	if at.node.typ == transport.Regular && (o.Digest || o.Against != nil) {
		d := transport.DigestOf(at.node.bytes())
		if o.Digest {
			info.Digest = d
		}
		info.Same = o.Against != nil && o.Against.Digest == d
	}
	return info, nil
}

// missing reports whether p cannot be there because something above it is missing or is a file.
func (f *Fake) missing(p transport.Path) bool {
	if c, err := transport.NewPath(string(p)); err != nil || c != p {
		return false
	}
	for d := p.Dir(); ; d = d.Dir() {
		at, err := f.resolve("stat", d, true)
		if err == nil {
			return at.node == nil || at.node.typ != transport.Dir
		}
		if transport.KindOf(err) == transport.NotFound || strings.HasSuffix(err.Error(), "is not a folder") { // a symlink in it leads nowhere
			return true
		}
		if d == "/" {
			return false
		}
	}
}

func (f *Fake) info(n *node) transport.FileInfo {
	info := transport.FileInfo{Type: n.typ, Mode: transport.NewMode(n.mode), UID: n.uid, GID: n.gid, ModTime: n.mtime,
		Owner: transport.Text(strconv.Itoa(n.uid)), Group: transport.Text(strconv.Itoa(n.gid))}
	for _, u := range f.passwd() {
		if u.UID == string(info.Owner) {
			info.Owner = transport.Text(u.Name)
			break
		}
	}
	for _, g := range f.group() {
		if g.GID == string(info.Group) {
			info.Group = transport.Text(g.Name)
			break
		}
	}
	switch n.typ {
	case transport.Regular:
		info.Size = int64(len(n.data))
	case transport.Symlink:
		info.Mode, info.Target = "", transport.Text(n.target)
	}
	return info
}

func (f *Fake) passwd() []tables.User { return tables.ParsePasswd(f.file("/etc/passwd")) }

func (f *Fake) group() []tables.Group { return tables.ParseGroup(f.file("/etc/group")) }

// file is the content of a file of the system, or nothing.
func (f *Fake) file(p transport.Path) []byte {
	at, err := f.resolve("read", p, true)
	if err != nil || at.node == nil {
		return nil
	}
	return at.node.bytes()
}

func (f *Fake) list(o transport.List) (transport.Listing, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.resolve("list", o.Path, true)
	switch {
	case err != nil:
		return transport.Listing{}, err
	case at.node == nil:
		return transport.Listing{}, fault(transport.NotFound, "list", o.Path, "it does not exist")
	case at.node.typ != transport.Dir:
		return transport.Listing{}, fault(transport.Refused, "list", o.Path, "it is not a folder")
	}
	hashed := map[string]bool{}
	var manifest []transport.SourceEntry
	if o.Against != nil {
		if manifest, err = o.Against.Entries(); err != nil {
			return transport.Listing{}, fault(transport.Refused, "list", o.Path, err.Error())
		}
		for _, e := range manifest {
			hashed[string(e.Path)] = e.Type == transport.Regular
		}
	}
	l := transport.Listing{Entries: []transport.Entry{}}
	f.listInto(&l, o, hashed, at.node, "")
	slices.SortFunc(l.Entries, func(a, b transport.Entry) int { return cmp.Compare(a.Path, b.Path) })
	if o.Against != nil {
		l = l.Without(manifest)
	}
	return l, nil
}

func (f *Fake) listInto(l *transport.Listing, o transport.List, hashed map[string]bool, dir *node, prefix string) {
	for _, name := range slices.Sorted(maps.Keys(dir.names)) {
		n := dir.names[name]
		e := transport.Entry{Path: transport.Text(prefix + name), FileInfo: f.info(n)}
		if (o.Digest || hashed[prefix+name]) && n.typ == transport.Regular {
			e.Digest = transport.DigestOf(n.bytes())
		}
		l.Entries = append(l.Entries, e)
		if o.Recursive && n.typ == transport.Dir {
			f.listInto(l, o, hashed, n, prefix+name+"/")
		}
	}
}

func (f *Fake) read(o transport.Read) (transport.Data, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.resolve("read", o.Path, true)
	switch {
	case err != nil:
		return transport.Data{}, err
	case at.node == nil:
		return transport.Data{}, fault(transport.NotFound, "read", o.Path, "it does not exist")
	case at.node.typ != transport.Regular:
		return transport.Data{}, fault(transport.Refused, "read", o.Path, "it is not a regular file")
	case o.Offset < 0 || o.Limit < 0:
		return transport.Data{}, fault(transport.Refused, "read", o.Path, "a negative offset or limit")
	}
	b := at.node.bytes()
	b = b[min(o.Offset, int64(len(b))):]
	limit := o.Limit
	if limit == 0 {
		limit = transport.ReadLimit
	}
	more := int64(len(b)) > limit
	if more {
		b = b[:limit]
	}
	return transport.Data{Content: transport.Bytes(slices.Clip(b)), More: more}, nil
}
