package converge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"fabgo/transport"
)

// place is a name in the tree of predicted files.
type place struct {
	pred  *prediction       // nil: it is as it is on the host
	fresh bool              // what the host has below it is gone
	since int               // fresh: after how many opaque changes
	veil  *Cause            // what an earlier step leaves here and below is not known, but for what later ones predict
	kids  map[string]*place // below it
}

// find is the place of a canonical path, or nil.
func (n *place) find(p transport.Path) *place {
	for _, name := range names(string(p)) {
		if n = n.kids[name]; n == nil {
			return nil
		}
	}
	return n
}

// grow is the place of a canonical path, made where it is missing.
func (n *place) grow(p transport.Path) *place {
	for _, name := range names(string(p)) {
		next := n.kids[name]
		if next == nil {
			next = &place{}
			if n.kids == nil {
				n.kids = map[string]*place{}
			}
			n.kids[name] = next
		}
		n = next
	}
	return n
}

func (o *Overlay) putFile(ctx context.Context, obj Object, by Cause) error {
	p, before, err := o.resolve(ctx, transport.Path(obj.Key.Name), obj.File != nil && obj.File.Follow)
	unknown := CauseOf(err) != nil
	if err != nil && !unknown {
		return err
	}
	if unknown { // the parents may come; until then the path is as it was given
		p = transport.Path(obj.Key.Name)
	}
	n := o.top.grow(p)
	if obj.Absent || obj.File.Type != transport.Dir || !unknown && before.Type != transport.Dir {
		n.kids, n.fresh, n.since = nil, true, len(o.dark)
		if obj.Absent || obj.File.Type != transport.Regular || obj.File.Content != nil { // else the content stays as unknown as it was
			n.veil = nil
		}
	}
	obj.Key = FileKey(p)
	if f := obj.File; f != nil {
		if old := n.pred; f.Type == transport.Regular && f.Content == nil && old != nil && old.obj.File != nil && old.obj.File.Type == transport.Regular {
			f.Content = old.obj.File.Content // only attributes are set
		}
		if err := o.own(ctx, p, f); err != nil {
			return err
		}
	}
	n.pred = &prediction{obj: obj, by: by, since: len(o.dark)}
	return nil
}

// own fills in what a host itself decides of a new file's owner and group, and names and ids in one another's stead. A name that
// nobody has is an error, as it would be in the run.
func (o *Overlay) own(ctx context.Context, p transport.Path, f *File) error {
	created, given := f.Group == "", f.Owner != ""
	if !given {
		f.Owner, f.UID = o.acting, -1
	}
	user := account{name: f.Owner, id: f.UID}
	if created || f.UID < 0 {
		var err error
		if user, err = o.account(ctx, transport.Users, p, f.Owner); err != nil {
			return err
		}
	}
	f.Owner, f.UID = user.name, user.id
	if !created {
		if f.GID >= 0 {
			return nil
		}
		group, err := o.account(ctx, transport.Groups, p, f.Group)
		f.Group, f.GID = group.name, group.id
		return err
	}
	if given && user.group == "" && user.id >= 0 { // an id that no account has, so it has no primary group
		given = false
		var err error
		if user, err = o.account(ctx, transport.Users, p, o.acting); err != nil {
			return err
		}
	}
	if dir, err := o.lstat(ctx, p.Dir(), false); !given && f.Type != transport.Regular && err == nil && dir.Mode.Bits()&0o2000 != 0 {
		f.Group, f.GID = dir.Group, dir.GID
		return nil
	}
	if f.Group, f.GID = user.group, user.gid; f.Group == "" {
		f.Group = f.Owner
	}
	return nil
}

// account is a user, with its primary group, or a group.
type account struct {
	name, group transport.Text
	id, gid     int // -1: not known
}

// account finds a user or group by name or id, for the file p.
func (o *Overlay) account(ctx context.Context, t transport.Table, p transport.Path, key transport.Text) (account, error) {
	k := Key{t, string(key)}
	if a, ok := o.names[k]; ok {
		return a, nil
	}
	a := account{name: key, id: id(key), gid: -1}
	rows, err := o.lookup(ctx, transport.Lookup{Table: t, Keys: []transport.Text{key}})
	switch kind := transport.KindOf(err); {
	case CauseOf(err) != nil, kind == transport.Unsupported, kind == transport.NotFound, kind == transport.Denied: // the run will tell
	case err != nil:
		return a, err
	case len(rows.Rows) == 1:
		f := rows.Rows[0].Fields
		a = account{name: rows.Rows[0].Key, id: id(f[idColumn(t)]), group: f["group"], gid: id(f["gid"])}
	case a.id < 0:
		return a, &transport.Error{
			Kind: transport.NotFound, Path: p, Message: fmt.Sprintf("write %s: there is no %s %q", p, t, key),
			Hint: fmt.Sprintf("make it before: %s.present(%q)", t, string(key)),
		}
	}
	o.names[k] = a
	return a, nil
}

// lstat is what stands at a canonical path, without following it; with digest, of a regular file also that.
func (o *Overlay) lstat(ctx context.Context, p transport.Path, digest bool) (transport.FileInfo, error) {
	n, veil, gone, since := o.above(p)
	if n != nil && n.veil != nil {
		veil = n.veil
	}
	if n != nil && n.pred != nil {
		fi := info(n.pred.obj)
		if fi.Type == transport.Absent {
			return fi, o.missing(FileKey(p), n.pred.since)
		}
		if fi.Type == transport.Regular && n.pred.obj.File.Content == nil { // attributes are predicted, the content is the host's
			if veil != nil {
				return fi, veiled(p, veil)
			}
			below, err := o.host(ctx, p, digest)
			fi.Digest, fi.Size, fi.ModTime = below.Digest, below.Size, below.ModTime
			return fi, err
		}
		return fi, nil
	}
	if veil != nil {
		return transport.FileInfo{}, veiled(p, veil)
	}
	if gone {
		return transport.FileInfo{Type: transport.Absent}, o.missing(FileKey(p), since)
	}
	fi, err := o.host(ctx, p, digest)
	if err == nil && fi.Type == transport.Absent {
		err = o.missing(FileKey(p), 0)
	}
	return fi, err
}

// host asks the host about a canonical path, once.
func (o *Overlay) host(ctx context.Context, p transport.Path, digest bool) (transport.FileInfo, error) {
	fi, ok := o.seen[p]
	if ok && (!digest || fi.Type != transport.Regular || fi.Digest != "") {
		return fi, nil
	}
	fi, err := transport.Do[transport.FileInfo](ctx, o.below, transport.Stat{Path: p, Digest: digest})
	if err == nil {
		o.seen[p] = fi
	}
	return fi, err
}

// resolve follows the symlinks of a path, those of the host and the predicted ones; the last name only when asked.
func (o *Overlay) resolve(ctx context.Context, p transport.Path, follow bool) (transport.Path, transport.FileInfo, error) {
	return o.resolveFor(ctx, p, follow, false)
}

func (o *Overlay) resolveFor(ctx context.Context, p transport.Path, follow, digest bool) (transport.Path, transport.FileInfo, error) {
	q, fi, err := resolve(p, follow, func(p transport.Path, last bool) (transport.FileInfo, error) {
		fi, err := o.lstat(ctx, p, last && digest)
		if CauseOf(err) != nil && !last {
			if n := o.top.find(p); n != nil && len(n.kids) > 0 { // what is predicted below it needs a folder
				return transport.FileInfo{Type: transport.Dir}, nil
			}
		}
		return fi, err
	})
	if err == errBroken {
		return p, transport.FileInfo{Type: transport.Absent}, nil
	}
	return q, fi, err
}

func info(o Object) transport.FileInfo {
	if o.Absent {
		return transport.FileInfo{Type: transport.Absent}
	}
	f := o.File
	fi := transport.FileInfo{Type: f.Type, Mode: f.Mode, Owner: f.Owner, Group: f.Group, UID: f.UID, GID: f.GID, Target: f.Target}
	if f.Content != nil {
		fi.Size, fi.Digest = f.Content.Size, f.Content.Digest
	}
	return fi
}

func (o *Overlay) stat(ctx context.Context, op transport.Stat) (transport.FileInfo, error) {
	p, fi, err := o.resolveFor(ctx, op.Path, op.Follow, op.Digest)
	if err != nil {
		return fi, err
	}
	if op.Against != nil && fi.Type == transport.Regular {
		if n := o.top.find(p); n != nil && n.pred != nil && n.pred.obj.File.Content != nil {
			fi.Same = n.pred.obj.File.Content.Digest == op.Against.Digest
		} else { // the host compares: what the op names may be a secret's token
			below, err := transport.Do[transport.FileInfo](ctx, o.below, transport.Stat{Path: p, Against: op.Against})
			if err != nil {
				return fi, err
			}
			fi.Same = below.Same
		}
	}
	if !op.Digest {
		fi.Digest = ""
	}
	return fi, nil
}

func (o *Overlay) read(ctx context.Context, op transport.Read) (transport.Data, error) {
	p, fi, err := o.resolve(ctx, op.Path, true)
	if err != nil {
		return transport.Data{}, err
	}
	refuse := func(kind transport.Kind, why string) (transport.Data, error) {
		return transport.Data{}, &transport.Error{Kind: kind, Path: op.Path, Message: fmt.Sprintf("read %s: %s", op.Path, why)}
	}
	switch fi.Type {
	case transport.Absent:
		return refuse(transport.NotFound, "no such file")
	case transport.Dir, transport.Special:
		return refuse(transport.Refused, fmt.Sprintf("it is a %s, not a file", noun(fi.Type)))
	}
	n := o.top.find(p)
	if n == nil || n.pred == nil || n.pred.obj.File.Content == nil || !n.pred.obj.File.Content.Known() {
		op.Path = p // the content is the host's
		return transport.Do[transport.Data](ctx, o.below, op)
	}
	return part(*n.pred.obj.File.Content, op.Offset, op.Limit)
}

// part is what a Read with this offset and limit answers of a content.
func part(c transport.Content, offset, limit int64) (transport.Data, error) {
	if limit == 0 {
		limit = transport.ReadLimit
	}
	if offset == 0 && c.Size <= limit {
		return transport.Data{Content: c}, nil
	}
	r, err := c.Open()
	if err != nil {
		return transport.Data{}, err
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, offset); err != nil && !errors.Is(err, io.EOF) {
		return transport.Data{}, err
	}
	b, err := io.ReadAll(io.LimitReader(r, limit))
	return transport.Data{Content: transport.Bytes(b), More: offset+int64(len(b)) < c.Size}, err
}

func (o *Overlay) list(ctx context.Context, op transport.List) (transport.Listing, error) {
	none := transport.Listing{}
	p, fi, err := o.resolve(ctx, op.Path, true)
	if err != nil {
		return none, err
	}
	switch fi.Type {
	case transport.Dir:
	case transport.Absent:
		return none, &transport.Error{Kind: transport.NotFound, Path: op.Path, Message: fmt.Sprintf("list %s: no such folder", op.Path)}
	default:
		return none, &transport.Error{Kind: transport.Refused, Path: op.Path, Message: fmt.Sprintf("list %s: it is a %s, not a folder", op.Path, noun(fi.Type))}
	}
	n, veil, gone, since := o.above(p)
	if n != nil && n.fresh {
		veil, gone, since = nil, true, n.since
	}
	if n != nil && veil == nil {
		veil = n.veiledBelow(op.Recursive)
	}
	if veil != nil {
		return none, veiled(p.Join("*"), veil)
	}
	if op.Against != nil && n == nil && !gone { // nothing is predicted there
		op.Path = p
		l, err := transport.Do[transport.Listing](ctx, o.below, op)
		if err == nil && len(l.Entries) == 0 && len(l.Alike) == 0 {
			err = o.missing(FileKey(p.Join("*")), since)
		}
		return l, err
	}
	var manifest []transport.SourceEntry
	if op.Against != nil {
		if manifest, err = op.Against.Entries(); err != nil {
			return none, &transport.Error{Kind: transport.Refused, Path: op.Path, Message: fmt.Sprintf("list %s: %v", op.Path, err), Err: err}
		}
	}
	out := transport.Listing{Entries: []transport.Entry{}}
	below := map[transport.Text]transport.FileInfo{}
	if !gone {
		host := op
		host.Path = p
		l, err := transport.Do[transport.Listing](ctx, o.below, host)
		if err != nil && !(transport.KindOf(err) == transport.NotFound && n != nil) { // it may be a folder that is still to come
			return none, err
		}
		for _, e := range l.With(manifest).Entries {
			if n != nil && n.hides(string(e.Path)) {
				below[e.Path] = e.FileInfo
			} else {
				out.Entries = append(out.Entries, e)
			}
		}
	}
	if n != nil {
		n.entries("", op, below, &out)
	}
	if len(out.Entries) == 0 { // a folder that seems to be empty may be filled
		if err := o.missing(FileKey(p.Join("*")), since); err != nil {
			return none, err
		}
	}
	slices.SortFunc(out.Entries, func(a, b transport.Entry) int { return strings.Compare(string(a.Path), string(b.Path)) })
	if op.Against != nil {
		out = out.Without(manifest)
	}
	return out, nil
}

// above is the place of a canonical path, or nil, and what the places above it say of it: veiled, or gone from the host and since when.
func (o *Overlay) above(p transport.Path) (n *place, veil *Cause, gone bool, since int) {
	n = o.top
	for _, name := range names(string(p)) {
		if n.fresh {
			veil, gone, since = nil, true, n.since
		}
		if n.veil != nil {
			veil = n.veil
		}
		if n = n.kids[name]; n == nil {
			break
		}
	}
	return n, veil, gone, since
}

// hides reports whether an entry of the host below n, by its relative path, is predicted to be otherwise or gone.
func (n *place) hides(rel string) bool {
	for _, name := range names(rel) {
		if n.fresh {
			return true
		}
		if n = n.kids[name]; n == nil {
			return false
		}
	}
	return n.pred != nil
}

// entries adds what is predicted below n. below has what the host has in the place of predicted entries.
func (n *place) entries(prefix string, op transport.List, below map[transport.Text]transport.FileInfo, out *transport.Listing) {
	for name, kid := range n.kids {
		rel := path.Join(prefix, name)
		if kid.pred != nil && !kid.pred.obj.Absent {
			fi := info(kid.pred.obj)
			if fi.Type == transport.Regular && kid.pred.obj.File.Content == nil {
				old := below[transport.Text(rel)]
				fi.Digest, fi.Size, fi.ModTime = old.Digest, old.Size, old.ModTime
			}
			if !op.Digest && op.Against == nil {
				fi.Digest = ""
			}
			out.Entries = append(out.Entries, transport.Entry{Path: transport.Text(rel), FileInfo: fi})
		}
		if op.Recursive {
			kid.entries(rel, op, below, out)
		}
	}
}

// id is an id in digits, or -1.
func id(t transport.Text) int {
	if n, err := strconv.Atoi(string(t)); err == nil {
		return n
	}
	return -1
}
