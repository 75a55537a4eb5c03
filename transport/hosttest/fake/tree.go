package fake

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fabgo/transport"
)

// node is a file. Hard links are two names of one node.
type node struct {
	typ       transport.FileType
	mode      uint32
	uid, gid  int
	mtime     int64
	data      []byte
	made      func() []byte // instead of data: a file of /proc
	target    string
	names     map[string]*node // of a folder
	immutable bool
	mount     *mount // a file system is mounted here
}

// mount is a file system: the one of a node is that of the nearest folder above that has one.
type mount struct {
	fstype   string
	readOnly bool
	limit    int64 // bytes that fit; 0: no limit
}

func newDir(mode uint32) *node {
	return &node{typ: transport.Dir, mode: mode, names: map[string]*node{}}
}

func (n *node) bytes() []byte {
	if n.made != nil {
		return n.made()
	}
	return n.data
}

// used is the number of bytes in the file system whose top is n.
func (n *node) used() int64 {
	sum := int64(len(n.data))
	for _, c := range n.names {
		if c.mount == nil {
			sum += c.used()
		}
	}
	return sum
}

// place is where a path leads: a name in a folder, and what stands there (nil: nothing).
type place struct {
	dir   *node
	name  string
	node  *node
	path  transport.Path // without symlinks
	fs    *mount         // of the folder
	above *node          // the top of that file system
}

// resolve walks to p; follow says whether a symlink in the last place is followed.
func (f *Fake) resolve(what string, p transport.Path, follow bool) (place, error) {
	if c, err := transport.NewPath(string(p)); err != nil {
		return place{}, fault(transport.Refused, what, p, err.Error())
	} else if c != p {
		return place{}, fault(transport.Refused, what, p, "the path is not in its short form")
	}
	type step struct {
		node  *node
		name  string
		fs    *mount
		above *node
	}
	at := []step{{f.root, "/", &mount{fstype: "ext4"}, f.root}}
	path := func(last string) transport.Path {
		q := transport.Path("/")
		for _, s := range at[1:] {
			q = q.Join(s.name)
		}
		return q.Join(last)
	}
	rest := strings.Split(string(p), "/")
	if p == "/" {
		return place{dir: f.root, name: "/", node: f.root, path: "/", fs: at[0].fs, above: f.root}, nil
	}
	for links := 0; ; {
		name := rest[0]
		rest = rest[1:]
		here := at[len(at)-1]
		last := !slices.ContainsFunc(rest, func(s string) bool { return s != "" && s != "." })
		if name == "" || name == "." || name == ".." {
			if name == ".." && len(at) > 1 {
				at = at[:len(at)-1]
			}
			if last {
				here = at[len(at)-1]
				return place{dir: here.node, name: here.name, node: here.node, path: path(""), fs: here.fs, above: here.above}, nil
			}
			continue
		}
		n := here.node.names[name]
		if n != nil && n.typ == transport.Symlink && (!last || follow) {
			if links++; links > 40 {
				return place{}, fault(transport.Refused, what, p, "too many symlinks lead there")
			}
			if strings.HasPrefix(n.target, "/") {
				at = at[:1]
			}
			rest = append(strings.Split(n.target, "/"), rest...)
			continue
		}
		if last {
			return place{dir: here.node, name: name, node: n, path: path(name), fs: here.fs, above: here.above}, nil
		}
		if n == nil {
			return place{}, fault(transport.NotFound, what, p, fmt.Sprintf("the folder %s does not exist", path(name)))
		}
		if n.typ != transport.Dir {
			return place{}, fault(transport.Refused, what, p, fmt.Sprintf("%s is not a folder", path(name)))
		}
		next := step{n, name, here.fs, here.above}
		if n.mount != nil {
			next.fs, next.above = n.mount, n
		}
		at = append(at, next)
	}
}

// writable resolves p for a change of the folder that it is in.
func (f *Fake) writable(what string, p transport.Path, follow bool) (place, error) {
	at, err := f.resolve(what, p, follow)
	switch {
	case err != nil:
		return at, err
	case at.fs.readOnly:
		return at, fault(transport.ReadOnlyFS, what, p, "the file system is mounted read-only")
	case at.dir.immutable:
		return at, immutable(what, p, p.Dir())
	case at.node != nil && at.node.immutable:
		return at, immutable(what, p, p)
	}
	return at, nil
}

func immutable(what string, p, where transport.Path) error {
	return &transport.Error{Kind: transport.Denied, Path: p, Message: fmt.Sprintf("%s %s: immutable attribute set on %s", what, p, where),
		Hint: "clear it with: chattr -i " + string(where)}
}

// now is the time of a change: it goes on by a second with each.
func (f *Fake) now() int64 {
	f.clock++
	return f.clock
}

// WriteFile puts a file there, with the folders above it, owned by root: ground for a test to stand on. It is not in the Log.
func (f *Fake) WriteFile(p transport.Path, content string, mode transport.Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir := f.folder(p.Dir())
	dir.names[p.Base()] = &node{typ: transport.Regular, mode: mode.Bits(), data: []byte(content), mtime: f.now()}
}

// MakeDir makes a folder and those above it.
func (f *Fake) MakeDir(p transport.Path, mode transport.Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.folder(p).mode = mode.Bits()
}

// folder is the folder p, made where it is missing. It panics where something else is in the way: the test is wrong then.
func (f *Fake) folder(p transport.Path) *node {
	if p == "/" {
		return f.root
	}
	at, err := f.resolve("make", p, true)
	if transport.KindOf(err) == transport.NotFound {
		f.folder(p.Dir())
		at, err = f.resolve("make", p, true)
	}
	if err != nil || at.node != nil && at.node.typ != transport.Dir {
		panic(fmt.Sprintf("fake: make %s: something is in the way: %v", p, err))
	}
	if at.node == nil {
		at.node = newDir(0o755)
		at.node.mtime = f.now()
		at.dir.names[at.name] = at.node
	}
	return at.node
}

// ReadFile is the content of a file, and whether there is one.
func (f *Fake) ReadFile(p transport.Path) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.resolve("read", p, true)
	if err != nil || at.node == nil || at.node.typ != transport.Regular {
		return "", false
	}
	return string(at.node.bytes()), true
}

// SetImmutable sets or clears the immutable attribute of a file or folder, which must be there.
func (f *Fake) SetImmutable(p transport.Path, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.resolve("set the attribute of", p, false)
	if err != nil || at.node == nil {
		panic(fmt.Sprintf("fake: %s is not there: %v", p, err))
	}
	at.node.immutable = on
}

// Mount mounts an empty tmpfs on a folder, which is made where it is missing. limit is how many bytes fit in it; 0 means any number.
func (f *Fake) Mount(p transport.Path, limit int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.folder(p)
	n.names, n.mount = map[string]*node{}, &mount{fstype: "tmpfs", limit: limit}
}

// SetReadOnly remounts the file system that is mounted on p.
func (f *Fake) SetReadOnly(p transport.Path, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.folder(p).mount.readOnly = on
}

// Snapshot is the state of the host as text, for comparisons: every file with its attributes and digest, but not its time, and the
// units. Equal states give equal bytes.
func (f *Fake) Snapshot() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	f.root.snapshot(&b, "/")
	for _, name := range slices.Sorted(maps.Keys(f.units)) {
		fmt.Fprintf(&b, "unit %s %+v\n", name, f.units[name].Unit)
	}
	return b.String()
}

func (n *node) snapshot(b *strings.Builder, path string) {
	fmt.Fprintf(b, "%q %s %04o %d:%d", path, n.typ, n.mode, n.uid, n.gid)
	switch {
	case n.made != nil: // made when it is read
	case n.typ == transport.Regular:
		fmt.Fprintf(b, " %d %s", len(n.data), transport.DigestOf(n.data))
	case n.typ == transport.Symlink:
		fmt.Fprintf(b, " -> %q", n.target)
	}
	if n.immutable {
		b.WriteString(" immutable")
	}
	if n.mount != nil {
		fmt.Fprintf(b, " mount %+v", *n.mount)
	}
	b.WriteString("\n")
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		n.names[name].snapshot(b, strings.TrimSuffix(path, "/")+"/"+name)
	}
}
