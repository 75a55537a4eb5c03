package converge

import (
	"cmp"
	"context"
	"fmt"

	"fabgo/transport"
)

// possible refuses what no file resource does by itself: replacing one type by another, writing through a symlink, making a file
// without a content.
func possible(want, have Object) error {
	if w := want.File; w != nil && w.Type == transport.Regular && w.Content == nil && !w.Brought && have.Cause == nil && (have.File == nil || w.Replace && have.File.Type != w.Type) {
		return noFile(transport.Path(want.Key.Name))
	}
	if want.File == nil || have.File == nil || have.File.Type == want.File.Type {
		return nil
	}
	if want.File.Replace && !(want.File.Follow && have.File.Type == transport.Special) { // a symlink to a device never makes it go away
		return nil
	}
	p := transport.Path(want.Key.Name)
	e := &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("write %s: there is a %s in its place, not a %s", p, noun(have.File.Type), noun(want.File.Type))}
	switch {
	case have.File.Type == transport.Symlink && want.File.Type == transport.Regular:
		e.Message = fmt.Sprintf("write %s: it is a symlink to %s", p, have.File.Target)
		e.Hint = "follow = True writes the file that it points to"
		if have.File.Target == "/dev/null" {
			e.Hint = "a link to /dev/null masks a systemd unit: service.unmasked takes the mask off"
		}
	case have.File.Type == transport.Dir:
		e.Hint = fmt.Sprintf("take it away before: file.absent(%q, recursive = True)", string(p))
	default:
		e.Hint = fmt.Sprintf("take it away before: file.absent(%q)", string(p))
	}
	return e
}

// secretive is a file that is to hold a secret: for its owner alone, unless somebody says otherwise, and never for everybody. Its content has only
// tokens, but what is there is likely an older secret, which is not to be shown.
func secretive(want Object) (Object, error) {
	f := *want.File
	if f.Mode == "" {
		f.Mode = "0600"
	}
	if f.Mode.Bits()&0o007 != 0 {
		return want, &transport.Error{
			Kind: transport.Refused, Path: transport.Path(want.Key.Name), Message: fmt.Sprintf("write %s: there is a secret in it, and with mode %s everybody on the host could read it", want.Key.Name, f.Mode),
			Hint: "a mode such as \"0640\" with a group does; where a file has to be readable by all, let what it starts read another one",
		}
	}
	want.File, want.Hidden = &f, true
	return want, nil
}

func noFile(p transport.Path) error {
	return &transport.Error{Kind: transport.NotFound, Path: p, Message: fmt.Sprintf("set attributes of %s: no such file", p)}
}

// emptied refuses to let a folder that is not empty make way for something else.
func emptied(ctx context.Context, h transport.Host, want, have Object) error {
	if want.File == nil || have.File == nil || !want.File.Replace || have.File.Type != transport.Dir || want.File.Type == transport.Dir {
		return nil
	}
	p := transport.Path(want.Key.Name)
	l, err := transport.Do[transport.Listing](ctx, h, transport.List{Path: p})
	if CauseOf(err) != nil || err == nil && len(l.Entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return &transport.Error{
		Kind: transport.Refused, Path: p, Message: fmt.Sprintf("write %s: there is a folder in its place, which is not empty", p),
		Hint: fmt.Sprintf("take it away before: file.absent(%q, recursive = True)", string(p)),
	}
}

func noun(t transport.FileType) string {
	switch t {
	case transport.Dir:
		return "folder"
	case transport.Symlink:
		return "symlink"
	case transport.Special:
		return "device, pipe or socket"
	}
	return string(t)
}

// FileOptions are what else is asked of the writing of files.
type FileOptions struct {
	Backup    transport.Path   // keep what was there under this name
	Validate  []transport.Text // a command that must accept the new file, %s
	Recursive bool             // remove trees
	Hard      bool             // make hard links, not symlinks
}

// ApplyFile makes one file as it is wanted. Resources of files build their Apply on it.
func ApplyFile(ctx context.Context, h transport.Host, p Pair, o FileOptions) error {
	path := transport.Path(p.Want.Key.Name)
	if p.Want.File != nil && p.Want.File.Follow {
		var err error
		if path, err = followed(ctx, h, path); err != nil {
			return err
		}
	}
	if p.Want.Absent {
		_, err := transport.Do[transport.Done](ctx, h, transport.Remove{Path: path, Recursive: o.Recursive})
		return err
	}
	w, f := p.Want.File, p.Have.File
	if f != nil && f.Type != w.Type && w.Replace {
		if _, err := transport.Do[transport.Done](ctx, h, transport.Remove{Path: path}); err != nil {
			return err
		}
		f = nil
	}
	switch {
	case w.Type == transport.Regular && w.Content != nil && (f == nil || f.Content == nil || f.Content.Digest != w.Content.Digest):
		return write(ctx, h, path, w, o, f != nil)
	case w.Type == transport.Symlink && (f == nil || f.Target != w.Target):
		op := transport.Link{Path: path, Target: w.Target, Hard: o.Hard, Owner: w.Owner, Group: w.Group}
		if f != nil && !o.Hard && (w.Owner != "" || w.Group != "") { // one of them is set, so that the other has to be said too to stay
			op.Owner, op.Group = cmp.Or(w.Owner, f.Owner), cmp.Or(w.Group, f.Group)
		}
		_, err := transport.Do[transport.Done](ctx, h, op)
		return err
	case w.Type == transport.Dir && f == nil:
		_, err := transport.Do[transport.Done](ctx, h, transport.Mkdir{Path: path, Mode: w.Mode, Owner: w.Owner, Group: w.Group})
		return err
	case f == nil:
		return noFile(path)
	}
	set := transport.SetAttr{Path: path}
	if w.Mode != f.Mode && w.Type != transport.Symlink {
		set.Mode = w.Mode
	}
	if w.Owner != "" && !owned(w.Owner, f.Owner, f.UID) {
		set.Owner = w.Owner
	}
	if w.Group != "" && !owned(w.Group, f.Group, f.GID) {
		set.Group = w.Group
	}
	_, err := transport.Do[transport.Done](ctx, h, set)
	return err
}

func write(ctx context.Context, h transport.Host, path transport.Path, w *File, o FileOptions, exists bool) error {
	op := transport.Write{Path: path, Content: *w.Content, Mode: w.Mode, Owner: w.Owner, Group: w.Group, Follow: w.Follow, Validate: o.Validate}
	if exists {
		op.Backup = o.Backup
	}
	res, err := transport.Do[transport.Written](ctx, h, op)
	if err != nil {
		if transport.KindOf(err) == transport.NotFound {
			if fi, serr := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: path.Dir(), Follow: true}); serr == nil && fi.Type == transport.Absent {
				return noFolder(path)
			}
		}
		return err
	}
	if v := res.Validation; v != nil && v.Code != 0 {
		return &CommandError{Argv: strs(o.Validate), Output: *v, Hint: fmt.Sprintf("the validation refused the new content; %s is as it was", path)}
	}
	return nil
}
