package builtins

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

type syncArgs struct {
	common
	attrs
	templating
	Src       string         `arg:"src"`
	Dest      transport.Path `arg:"dest"`
	Delete    bool           `arg:"delete"`
	Exclude   []string       `arg:"exclude"`
	Suffix    string         `arg:"suffix"`
	DirMode   transport.Mode `arg:"dir_mode"`
	Parents   bool           `arg:"parents"`
	Sensitive bool           `arg:"sensitive"`
}

// syncTree is a folder of the bundle, as it is to be on the host.
type syncTree struct {
	call     *call
	args     syncArgs
	name     string // the controller's name of the folder
	wanted   []syncEntry
	paths    map[string]bool        // of wanted
	places   map[transport.Path]int // in wanted, of regular files, by their paths on the host
	excluded []exclusion
	contents map[transport.Digest]*sourceBytes
	manifest []transport.SourceEntry // of wanted
	against  transport.Content       // the same
	seen     []transport.Entry       // what Want saw of the destination, for the Probe that follows it
}

// syncEntry is one entry of the source; content, where it is known already, is that of a template.
type syncEntry struct {
	transport.SourceEntry
	name    string // under the destination
	content *transport.Content
}

func fileSync(c *call, a syncArgs) (starlark.Value, error) {
	if a.Delete && (a.Dest == "/" || a.Dest.Dir() == "/") {
		return nil, fmt.Errorf("file.sync: delete: %s holds a part of the system: name a folder further down", a.Dest)
	}
	r := &syncTree{call: c, args: a, paths: map[string]bool{}, places: map[transport.Path]int{}, contents: map[transport.Digest]*sourceBytes{}}
	for _, x := range a.Exclude {
		e, err := exclusionOf(x)
		if err != nil {
			return nil, fmt.Errorf("file.sync: exclude: %w", err)
		}
		r.excluded = append(r.excluded, e)
	}
	var err error
	if r.name, err = c.locate(a.Src); err != nil {
		return nil, err
	}
	if err := r.source(); err != nil {
		return nil, err
	}
	return c.converge(r)
}

// source asks for the folder and renders its templates.
func (r *syncTree) source() error {
	if _, err := templateVars(r.args.Vars); err != nil {
		return fmt.Errorf("file.sync: vars: %w", err)
	}
	listing, err := r.call.Session.Ask(transport.AskTree, r.name)
	if err != nil {
		return err
	}
	entries, err := listing.Entries()
	if err != nil {
		return fmt.Errorf("file.sync: list %s: %w", r.name, err)
	}
	for _, e := range entries {
		if r.isExcluded(string(e.Path), e.Type == transport.Dir) {
			continue
		}
		s := syncEntry{SourceEntry: e, name: string(e.Path)}
		switch e.Type {
		case transport.Regular:
			base, ok := strings.CutSuffix(s.name, r.args.Suffix)
			if r.args.Vars == nil || r.args.Suffix == "" || !ok || base == "" || strings.HasSuffix(base, "/") {
				break
			}
			s.name = base
			content, err := r.call.renderNamed(r.sourceName(e), r.args.templating)
			if err != nil {
				return err
			}
			s.content = &content
		case transport.Dir, transport.Symlink:
		default:
			return fmt.Errorf("file.sync: %s/%s is neither file, folder nor symlink: exclude it", r.args.Src, e.Path)
		}
		if r.paths[s.name] {
			return fmt.Errorf("file.sync: %s holds both %s and %s%s, which would be the same file", r.args.Src, s.name, s.name, r.args.Suffix)
		}
		r.paths[s.name] = true
		if s.Type == transport.Regular {
			r.places[r.args.Dest.Join(s.name)] = len(r.wanted)
		}
		r.wanted = append(r.wanted, s)
		r.manifest = append(r.manifest, s.entry())
	}
	slices.SortFunc(r.manifest, func(a, b transport.SourceEntry) int { return strings.Compare(string(a.Path), string(b.Path)) })
	r.against = transport.Manifest(r.manifest)
	return nil
}

// entry is what is to be under the destination.
func (s syncEntry) entry() transport.SourceEntry {
	e := s.SourceEntry
	e.Path = transport.Text(s.name)
	if s.content != nil {
		e.Digest, e.Size = s.content.Digest, s.content.Size
	}
	return e
}

func (r *syncTree) sourceName(e transport.SourceEntry) string {
	if strings.HasSuffix(r.name, "/") {
		return r.name + string(e.Path)
	}
	return r.name + "/" + string(e.Path)
}

func (r *syncTree) Name() string { return converge.FileKey(r.args.Dest).String() }

// Reach is the folder with all in it.
func (r *syncTree) Reach() []converge.Object {
	return []converge.Object{{Key: converge.FileKey(r.args.Dest), File: &converge.File{Type: transport.Dir, Follow: true}}}
}

func (r *syncTree) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	top := r.call.file(transport.Dir, r.args.attrs)
	top.Mode, top.Follow = r.args.DirMode, true
	want := []converge.Object{{Key: converge.FileKey(r.args.Dest), File: top}}
	if r.args.Parents {
		above, err := missingParents(ctx, h, r.args.Dest, r.call.bound.user)
		if err != nil {
			return nil, err
		}
		want = append(above, want...)
	}
	there, err := r.list(ctx, h)
	if err != nil {
		return nil, err
	}
	r.seen = there
	have := make(map[string]transport.FileInfo, len(there))
	for _, e := range there {
		have[string(e.Path)] = e.FileInfo
	}
	for _, s := range r.wanted {
		f := r.call.file(s.Type, attrs{Owner: r.args.Owner, Group: r.args.Group})
		switch s.Type {
		case transport.Dir:
			f.Mode = r.args.DirMode
		case transport.Symlink:
			f.Target = s.Target
		default:
			f.Mode, f.Content = r.mode(s.Executable, have[s.name]), r.content(ctx, h, s)
			if f.Content.Secret && r.args.Mode == "" {
				f.Mode = "0600"
			}
		}
		want = append(want, converge.Object{Key: converge.FileKey(r.args.Dest.Join(s.name)), File: f, Hidden: r.args.Sensitive})
	}
	if r.args.Delete {
		for _, p := range r.extra(there) {
			want = append(want, converge.Object{Key: converge.FileKey(r.args.Dest.Join(p)), Absent: true})
		}
	}
	return want, nil
}

// mode is the mode of a file: an executable one may be executed by everyone who may read it.
func (r *syncTree) mode(executable bool, have transport.FileInfo) transport.Mode {
	bits := r.args.Mode.Bits()
	switch {
	case r.args.Mode != "":
	case have.Type == transport.Regular:
		bits = have.Mode.Bits() &^ 0o111
	default:
		bits = 0o644
	}
	if executable {
		bits |= bits & 0o444 >> 2
	}
	return transport.NewMode(bits)
}

// extra are the topmost entries that are not in the source. What is excluded stays, and so do the folders above it.
func (r *syncTree) extra(there []transport.Entry) []string {
	keep := map[string]bool{}
	for _, e := range there {
		if name := string(e.Path); r.isExcluded(name, e.Type == transport.Dir) {
			for ; name != ""; name, _ = cutLast(name) {
				keep[name] = true
			}
		}
	}
	gone := map[string]bool{}
	var out []string
	for _, e := range there { // sorted, so a folder comes before what is in it
		name := string(e.Path)
		above, _ := cutLast(name)
		switch {
		case gone[above]:
			gone[name] = true
		case !r.paths[name] && !keep[name]:
			gone[name] = true
			out = append(out, name)
		}
	}
	return out
}

func cutLast(p string) (dir, base string) {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)], p[i+1:]
}

// Probe asks for the tree at once.
func (r *syncTree) Probe(ctx context.Context, h transport.Host, want []converge.Object) (have []converge.Object, err error) {
	there := r.seen
	if r.seen = nil; there == nil {
		if there, err = r.list(ctx, h); err != nil {
			return nil, err
		}
	}
	return probeTree(ctx, h, r.args.Dest, there, want)
}

// list lists the destination. The host compares it with what is wanted, so that thousands of files need no more words than one.
func (r *syncTree) list(ctx context.Context, h transport.Host) ([]transport.Entry, error) {
	l, err := transport.Do[transport.Listing](ctx, h, transport.List{Path: r.args.Dest, Recursive: true, Against: &r.against})
	if transport.KindOf(err) == transport.NotFound {
		return []transport.Entry{}, nil
	}
	return l.With(r.manifest).Entries, err
}

func (r *syncTree) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	packs := r.packs(delta)
	for i, p := range delta {
		if p.Want.Absent && packs != nil { // in place of what goes something may come, but not the other way round
			if err := r.unpack(ctx, h, packs); err != nil {
				return err
			}
			packs = nil
		}
		if packs.hold(i) {
			continue
		}
		if err := r.apply(ctx, h, p); err != nil {
			return err
		}
	}
	return r.unpack(ctx, h, packs)
}

func (r *syncTree) apply(ctx context.Context, h transport.Host, p converge.Pair) error {
	if f := p.Want.File; f != nil && f.Content != nil {
		if src := r.contents[f.Content.Digest]; src != nil {
			if err := src.ask(ctx, h); err != nil { // before the write, not within it
				return err
			}
			if src.got.Digest != f.Content.Digest {
				return fmt.Errorf("%s changed while %s was synced", src.name, r.args.Src)
			}
			w := *f
			w.Content, p.Want.File = src.got, &w
		}
	}
	return converge.ApplyFile(ctx, h, p, converge.FileOptions{Recursive: true})
}

// probeTree finds wanted files in the listing of a folder, and asks for those that do not lie below it.
func probeTree(ctx context.Context, h transport.Host, dir transport.Path, entries []transport.Entry, want []converge.Object) ([]converge.Object, error) {
	listed := make(map[transport.Path]transport.FileInfo, len(entries))
	for _, e := range entries {
		listed[dir.Join(string(e.Path))] = e.FileInfo
	}
	have := make([]converge.Object, len(want))
	for i, w := range want {
		p := transport.Path(w.Key.Name)
		fi, ok := listed[p]
		if ok && fi.Type == transport.Regular && w.File != nil && w.File.Content != nil && w.File.Content.Secret { // the digest of tokens says nothing
			var err error
			if have[i], err = converge.ProbeFile(ctx, h, w); err != nil {
				return nil, err
			}
			continue
		}
		if !ok && p.Under(dir) {
			fi.Type = transport.Absent
		} else if !ok {
			var err error
			fi, err = transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p, Follow: w.File != nil && w.File.Follow})
			if u := unknown(err); u != nil {
				have[i] = converge.Object{Key: w.Key, Cause: &u.Cause}
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		have[i] = converge.Found(p, fi)
	}
	return have, nil
}
