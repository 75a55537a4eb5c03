package builtins

import (
	"context"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

type linkArgs struct {
	common
	Path   transport.Path `arg:"path"`
	Target string         `arg:"target"`
	Hard   bool           `arg:"hard"`
	Force  bool           `arg:"force"`
	Owner  owner          `arg:"owner"`
	Group  owner          `arg:"group"`
}

func fileLink(c *call, a linkArgs) (starlark.Value, error) {
	if a.Target == "" || strings.IndexByte(a.Target, 0) >= 0 || len(a.Target) > 4095 {
		return nil, fmt.Errorf("file.link: target: %q is no path", a.Target)
	}
	if a.Hard {
		if a.Owner != "" || a.Group != "" {
			return nil, fmt.Errorf("file.link: a hard link has the owner of the file: leave owner and group out")
		}
		target, err := transport.NewPath(a.Target)
		if err != nil {
			return nil, fmt.Errorf("file.link: target: %w", err)
		}
		return c.converge(&hardLink{path: a.Path, target: target, force: a.Force})
	}
	f := c.file(transport.Symlink, attrs{Owner: a.Owner, Group: a.Group})
	f.Target, f.Replace = transport.Text(a.Target), a.Force
	return c.converge(&fileResource{want: converge.Object{Key: converge.FileKey(a.Path), File: f}})
}

// hardLink is a second name of a file. A host tells no inode numbers, so it is recognised by type, attributes and content.
type hardLink struct {
	path, target transport.Path
	force        bool
}

func (r *hardLink) Name() string { return converge.FileKey(r.path).String() }

// Reach is the place of the link.
func (r *hardLink) Reach() []converge.Object {
	return []converge.Object{{Key: converge.FileKey(r.path)}}
}

func (r *hardLink) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: r.target, Digest: true})
	if err != nil {
		return nil, err
	}
	if fi.Type != transport.Regular {
		return nil, &transport.Error{Kind: transport.Refused, Path: r.target, Message: fmt.Sprintf("link %s: its target %s is %s, not a file", r.path, r.target, fi.Type)}
	}
	f := &converge.File{
		Type: transport.Regular, Mode: fi.Mode, Owner: fi.Owner, Group: fi.Group, Replace: r.force,
		Content: &transport.Content{Digest: fi.Digest, Size: fi.Size},
	}
	return []converge.Object{{Key: converge.FileKey(r.path), File: f}}, nil
}

func (r *hardLink) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	if !delta[0].Have.Absent {
		if !r.force {
			return &transport.Error{
				Kind: transport.Refused, Path: r.path, Message: fmt.Sprintf("link %s: another file is there", r.path),
				Hint: "force = True replaces it",
			}
		}
		if _, err := transport.Do[transport.Done](ctx, h, transport.Remove{Path: r.path}); err != nil {
			return err
		}
	}
	_, err := transport.Do[transport.Done](ctx, h, transport.Link{Path: r.path, Target: transport.Text(r.target), Hard: true})
	return err
}

type absentArgs struct {
	common
	Path      transport.Path `arg:"path"`
	Recursive bool           `arg:"recursive"`
}

func fileAbsent(c *call, a absentArgs) (starlark.Value, error) {
	if a.Path == "/" {
		return nil, fmt.Errorf("file.absent: / is not removed")
	}
	return c.converge(&absentResource{a})
}

// absentResource is a path where nothing is to be.
type absentResource struct{ args absentArgs }

func (r *absentResource) Name() string { return converge.FileKey(r.args.Path).String() }

func (r *absentResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	want := []converge.Object{{Key: converge.FileKey(r.args.Path), Absent: true}}
	if r.args.Recursive {
		return want, nil
	}
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: r.args.Path})
	if err != nil || fi.Type != transport.Dir {
		return want, errUnlessUnknown(err)
	}
	list, err := transport.Do[transport.Listing](ctx, h, transport.List{Path: r.args.Path})
	if err != nil {
		return want, errUnlessUnknown(err)
	}
	if n := len(list.Entries); n > 0 {
		return nil, &transport.Error{
			Kind: transport.Refused, Path: r.args.Path, Message: fmt.Sprintf("remove %s: it is a folder with %d things in it", r.args.Path, n),
			Hint: "recursive = True removes it with all that lies in it",
		}
	}
	return want, nil
}

// errUnlessUnknown leaves out that something cannot be known before the run: the probe will say so.
func errUnlessUnknown(err error) error {
	if converge.CauseOf(err) != nil {
		return nil
	}
	return err
}

func (r *absentResource) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	return converge.ApplyFile(ctx, h, delta[0], converge.FileOptions{Recursive: r.args.Recursive})
}
