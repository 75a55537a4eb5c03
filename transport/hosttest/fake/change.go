package fake

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fabgo/transport"
)

// ids resolves owner and group: -1 for "". primary is the owner's primary group.
func (f *Fake) ids(what string, p transport.Path, owner, group transport.Text) (uid, gid, primary int, err error) {
	uid, gid, primary = -1, -1, -1
	if owner != "" {
		id := string(owner)
		known := false
		for _, u := range f.passwd() {
			if u.Name == string(owner) || u.UID == string(owner) {
				id, known = u.UID, true
				primary, _ = strconv.Atoi(u.GID)
				break
			}
		}
		if uid, err = strconv.Atoi(id); err != nil && !known {
			return 0, 0, 0, fault(transport.NotFound, what, p, fmt.Sprintf("there is no user %q", owner))
		}
	}
	if group != "" {
		id := string(group)
		for _, g := range f.group() {
			if g.Name == string(group) || g.GID == string(group) {
				id = g.GID
				break
			}
		}
		if gid, err = strconv.Atoi(id); err != nil {
			return 0, 0, 0, fault(transport.NotFound, what, p, fmt.Sprintf("there is no group %q", group))
		}
	}
	return uid, gid, primary, nil
}

func checkModes(what string, p transport.Path, modes ...transport.Mode) error {
	for _, m := range modes {
		if m == "" {
			continue
		}
		if _, err := transport.ParseMode(string(m)); err != nil {
			return fault(transport.Refused, what, p, err.Error())
		}
	}
	return nil
}

func (f *Fake) write(ctx context.Context, o transport.Write) (transport.Written, error) {
	data, err := load(ctx, o.Content)
	if err != nil {
		return transport.Written{}, err
	}
	if err := checkModes("write", o.Path, o.Mode); err != nil {
		return transport.Written{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at, file, err := f.planWrite(o, data)
	if err != nil {
		return transport.Written{}, err
	}
	var w transport.Written
	if len(o.Validate) > 0 {
		tmp := ".fabgo-new"
		at.dir.names[tmp] = file
		args := make([]transport.Text, len(o.Validate))
		for i, a := range o.Validate {
			args[i] = transport.Text(strings.ReplaceAll(string(a), "%s", string(at.path.Dir().Join(tmp))))
		}
		f.mu.Unlock()
		out, err := f.exec(ctx, transport.Exec{Argv: args})
		f.mu.Lock()
		delete(at.dir.names, tmp)
		if err != nil {
			return w, err
		}
		w.Validation = &out
		if out.Code != 0 {
			return w, nil
		}
	}
	if o.Backup != "" && at.node != nil {
		to, err := f.resolve("back up", o.Backup, false)
		if err != nil {
			return transport.Written{}, err
		}
		if to.node != nil && to.node.typ != transport.Regular {
			return transport.Written{}, fault(transport.Refused, "back up", o.Backup, "something that is no file is there")
		}
		to.dir.names[to.name] = at.node
	}
	at.dir.names[at.name] = file
	return w, nil
}

// load reads a content into memory; ctx can end it.
func load(ctx context.Context, c transport.Content) ([]byte, error) {
	r, err := c.Open()
	if err != nil {
		return nil, sorted("write", err)
	}
	defer r.Close()
	out := make([]byte, 0, min(c.Size, 1<<30))
	for buf := make([]byte, 256<<10); ; {
		if err := ctx.Err(); err != nil {
			return nil, interrupted("write", err)
		}
		n, err := r.Read(buf)
		out = append(out, buf[:n]...)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, sorted("write", err)
		}
	}
}

// planWrite checks a Write and makes the new file, which has no name yet.
func (f *Fake) planWrite(o transport.Write, data []byte) (place, *node, error) {
	const what = "write"
	refuse := func(why string) (place, *node, error) {
		return place{}, nil, fault(transport.Refused, what, o.Path, why)
	}
	if o.Backup != "" && (o.Backup.Dir() != o.Path.Dir() || o.Backup == o.Path || o.Backup[0] != '/') {
		return refuse("the backup is not another name in the same folder")
	}
	uid, gid, primary, err := f.ids(what, o.Path, o.Owner, o.Group)
	if err != nil {
		return place{}, nil, err
	}
	at, err := f.writable(what, o.Path, o.Follow)
	if err != nil {
		return place{}, nil, err
	}
	file := &node{typ: transport.Regular, mode: 0o644, data: data, mtime: f.now()}
	old := int64(0)
	if n := at.node; n != nil {
		switch {
		case n.typ == transport.Dir:
			return refuse("a folder is there")
		case n.typ == transport.Symlink && n.target == "/dev/null":
			return refuse("it is masked (a symlink to /dev/null)")
		case n.typ == transport.Symlink:
			return refuse("a symlink to " + n.target + " is there")
		case n.typ == transport.Special:
			return refuse("a device, pipe or socket is there")
		}
		file.mode, file.uid, file.gid = n.mode, n.uid, n.gid
		old = int64(len(n.data))
	} else if primary >= 0 {
		file.gid = primary
	}
	if at.fs.limit > 0 && at.above.used()+int64(len(data)) > at.fs.limit+old {
		return place{}, nil, fault(transport.NoSpace, what, o.Path, "no space left on device")
	}
	if o.Mode != "" {
		file.mode = o.Mode.Bits()
	}
	file.own(uid, gid)
	return at, file, nil
}

func (n *node) own(uid, gid int) {
	if uid >= 0 {
		n.uid = uid
	}
	if gid >= 0 {
		n.gid = gid
	}
}

func (f *Fake) mkdir(o transport.Mkdir) error {
	const what = "make the folder"
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := checkModes(what, o.Path, o.Mode); err != nil {
		return err
	}
	uid, gid, primary, err := f.ids(what, o.Path, o.Owner, o.Group)
	if err != nil {
		return err
	}
	at, err := f.writable(what, o.Path, false)
	if transport.KindOf(err) == transport.NotFound && o.Parents {
		if err := f.makeParents(what, o.Path.Dir()); err != nil {
			return err
		}
		at, err = f.writable(what, o.Path, false)
	}
	if err != nil {
		return err
	}
	if at.node != nil {
		return fault(transport.Refused, what, o.Path, "something is there already")
	}
	n := newDir(0o755)
	if o.Mode != "" {
		n.mode = o.Mode.Bits()
	}
	n.mtime = f.now()
	if gid < 0 {
		gid = primary
	}
	n.own(uid, gid)
	at.dir.names[at.name] = n
	return nil
}

func (f *Fake) makeParents(what string, p transport.Path) error {
	at, err := f.writable(what, p, true)
	if transport.KindOf(err) == transport.NotFound {
		if err := f.makeParents(what, p.Dir()); err != nil {
			return err
		}
		at, err = f.writable(what, p, true)
	}
	if err != nil {
		return err
	}
	if at.node == nil {
		n := newDir(0o755)
		n.mtime = f.now()
		at.dir.names[at.name] = n
	}
	return nil
}

func (f *Fake) link(o transport.Link) error {
	const what = "link"
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.Target == "" || strings.Contains(string(o.Target), "\x00") || len(o.Target) > 4095 {
		return fault(transport.Refused, what, o.Path, "its target is empty, too long or holds a NUL byte")
	}
	uid, gid, primary, err := f.ids(what, o.Path, o.Owner, o.Group)
	if err != nil {
		return err
	}
	at, err := f.writable(what, o.Path, false)
	if err != nil {
		return err
	}
	if at.node != nil && at.node.typ != transport.Symlink {
		return fault(transport.Refused, what, o.Path, "something that is no symlink is there")
	}
	if o.Hard {
		target := transport.Path(o.Target)
		if target[0] != '/' {
			target = o.Path.Dir().Join(string(target))
		}
		from, err := f.resolve(what, target, false)
		if err != nil {
			return err
		}
		if from.node == nil || from.node.typ == transport.Dir {
			return fault(transport.NotFound, what, o.Path, "there is no file "+string(target))
		}
		at.dir.names[at.name] = from.node
		return nil
	}
	n := &node{typ: transport.Symlink, mode: 0o777, target: string(o.Target), mtime: f.now()}
	if at.node != nil {
		n.own(at.node.uid, at.node.gid)
	}
	if gid < 0 {
		gid = primary
	}
	n.own(uid, gid)
	at.dir.names[at.name] = n
	return nil
}

func (f *Fake) remove(o transport.Remove) error {
	const what = "remove"
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.Path == "/" {
		return fault(transport.Refused, what, o.Path, "it is the root folder")
	}
	at, err := f.resolve(what, o.Path, false)
	if err == nil && at.node == nil {
		return fault(transport.NotFound, what, o.Path, "it does not exist")
	}
	if at, err = f.writable(what, o.Path, false); err != nil {
		return err
	}
	switch n := at.node; {
	case n.mounted():
		return fault(transport.Refused, what, o.Path, "a file system is mounted there or below")
	case n.typ == transport.Dir && len(n.names) > 0 && at.path.Dir() == "/":
		return fault(transport.Refused, what, o.Path, "it is one of the system's top folders and is not empty")
	case n.typ == transport.Dir && len(n.names) > 0 && !o.Recursive:
		return fault(transport.Refused, what, o.Path, "the folder is not empty")
	case n.hasImmutable():
		return immutable(what, o.Path, o.Path)
	}
	delete(at.dir.names, at.name)
	return nil
}

func (n *node) mounted() bool {
	return n.mount != nil || slices.ContainsFunc(slices.Collect(maps.Values(n.names)), (*node).mounted)
}

func (n *node) hasImmutable() bool {
	return n.immutable || slices.ContainsFunc(slices.Collect(maps.Values(n.names)), (*node).hasImmutable)
}

func (f *Fake) setAttr(o transport.SetAttr) error {
	const what = "set attributes of"
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := checkModes(what, o.Path, o.Mode, o.FileMode); err != nil {
		return err
	}
	uid, gid, _, err := f.ids(what, o.Path, o.Owner, o.Group)
	if err != nil {
		return err
	}
	at, err := f.resolve(what, o.Path, false)
	switch {
	case err != nil:
		return err
	case o.Recursive && (o.Path == "/" || o.Path.Dir() == "/"):
		return fault(transport.Refused, what, o.Path, "the whole tree below it would be changed")
	case at.node == nil:
		return fault(transport.NotFound, what, o.Path, "it does not exist")
	case at.fs.readOnly:
		return fault(transport.ReadOnlyFS, what, o.Path, "the file system is mounted read-only")
	case at.node.hasImmutable() && (o.Recursive || at.node.immutable):
		return immutable(what, o.Path, o.Path)
	case at.node.typ == transport.Symlink && o.Mode != "":
		return fault(transport.Refused, what, o.Path, "it is a symlink, which has no mode")
	}
	at.node.setAttr(o, uid, gid, true)
	return nil
}

func (n *node) setAttr(o transport.SetAttr, uid, gid int, top bool) {
	n.own(uid, gid)
	mode := o.Mode
	switch {
	case n.typ == transport.Symlink, n.typ == transport.Special && !top:
		mode = ""
	case n.typ == transport.Regular && o.Recursive:
		mode = o.FileMode
	}
	if mode != "" {
		n.mode = mode.Bits()
	}
	if o.Recursive {
		for _, c := range n.names {
			c.setAttr(o, uid, gid, false)
		}
	}
}
