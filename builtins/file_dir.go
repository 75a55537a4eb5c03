package builtins

import (
	"context"
	"fmt"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

type dirArgs struct {
	common
	attrs
	Path      transport.Path `arg:"path"`
	Parents   bool           `arg:"parents"`
	Recursive bool           `arg:"recursive"`
	FileMode  transport.Mode `arg:"file_mode"`
	Follow    bool           `arg:"follow"`
}

func fileDir(c *call, a dirArgs) (starlark.Value, error) {
	if a.FileMode != "" && !a.Recursive {
		return nil, fmt.Errorf("file.dir: file_mode is for what lies in the folder: give recursive = True too")
	}
	if a.Recursive && a.Owner == "" && a.Group == "" && a.Mode == "" && a.FileMode == "" && c.bound.user == "" {
		return nil, fmt.Errorf("file.dir: recursive = True needs owner, group, mode or file_mode to set")
	}
	f := c.file(transport.Dir, a.attrs)
	f.Follow = a.Follow
	return c.converge(&dirResource{args: a, want: *f, maker: c.bound.user})
}

// dirResource is a folder, the missing ones above it, and, when asked, all that lies in it.
type dirResource struct {
	args  dirArgs
	want  converge.File
	maker transport.Text // who gets missing folders above it; "": the acting user
}

func (r *dirResource) Name() string { return converge.FileKey(r.args.Path).String() }

func (r *dirResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	var want []converge.Object
	if r.args.Parents {
		above, err := missingParents(ctx, h, r.args.Path, r.maker)
		if err != nil {
			return nil, err
		}
		want = above
	}
	f := r.want
	want = append(want, converge.Object{Key: converge.FileKey(r.args.Path), File: &f})
	if !r.args.Recursive {
		return want, nil
	}
	below, err := r.below(ctx, h)
	return append(want, below...), err
}

// missingParents are the folders above a path that are not there, the topmost first. One that cannot be known is wanted too.
func missingParents(ctx context.Context, h transport.Host, p transport.Path, maker transport.Text) ([]converge.Object, error) {
	var missing []converge.Object
	for dir := p.Dir(); dir != "/"; dir = dir.Dir() {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: dir, Follow: true})
		if err != nil && converge.CauseOf(err) == nil {
			return nil, err
		}
		if err == nil && fi.Type != transport.Absent {
			break // what is no folder is refused where it matters
		}
		o := converge.Object{Key: converge.FileKey(dir), File: &converge.File{Type: transport.Dir, Owner: maker, Follow: true}}
		missing = append([]converge.Object{o}, missing...)
	}
	return missing, nil
}

// below are the things in the folder whose owner, group or mode are not as they are to be.
func (r *dirResource) below(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	list, err := transport.Do[transport.Listing](ctx, h, transport.List{Path: r.args.Path, Recursive: true})
	if transport.KindOf(err) == transport.NotFound || converge.CauseOf(err) != nil {
		return nil, nil // there is nothing in it yet, or what there is the run will find
	}
	if err != nil {
		return nil, err
	}
	var want []converge.Object
	for _, e := range list.Entries {
		f := &converge.File{Type: e.Type, Owner: r.want.Owner, Group: r.want.Group}
		switch e.Type {
		case transport.Dir:
			f.Mode = r.want.Mode
		case transport.Regular:
			f.Mode = r.args.FileMode
		case transport.Special:
			continue
		}
		p := r.args.Path.Join(string(e.Path))
		o := converge.Object{Key: converge.FileKey(p), File: f}
		if !converge.Fits(o, converge.Found(p, withTarget(e.FileInfo, f))) {
			want = append(want, o)
		}
	}
	return want, nil
}

// withTarget makes a symlink's target no matter of the comparison: only its owner is.
func withTarget(fi transport.FileInfo, f *converge.File) transport.FileInfo {
	f.Target = fi.Target
	return fi
}

func (r *dirResource) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	below := false
	for _, p := range delta {
		if transport.Path(p.Want.Key.Name).Under(r.args.Path) {
			below = true
			continue
		}
		if err := converge.ApplyFile(ctx, h, p, converge.FileOptions{}); err != nil {
			return err
		}
	}
	if !below {
		return nil
	}
	_, err := transport.Do[transport.Done](ctx, h, transport.SetAttr{
		Path: r.args.Path, Recursive: true, Mode: r.want.Mode, FileMode: r.args.FileMode, Owner: r.want.Owner, Group: r.want.Group,
	})
	return err
}
