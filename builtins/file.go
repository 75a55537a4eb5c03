package builtins

import (
	"context"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func fileNatives() starlark.StringDict {
	return merge(
		native("file.put", filePut),
		native("file.template", fileTemplate),
		native("file.dir", fileDir),
		native("file.link", fileLink),
		native("file.absent", fileAbsent),
		native("file.line", fileLine),
		native("file.block", fileBlock),
		native("file.replace", fileReplace),
		native("file.ini", fileINI),
		native("file.json", fileJSON),
		native("file.yaml", fileYAML),
		native("file.sync", fileSync),
		native("file.fetch", fileFetch),
		native("file.exists", fileExists),
		native("file.stat", fileStat),
		native("file.read", fileRead),
		native("file.glob", fileGlob),
		native("file.contains", fileContains),
	)
}

// attrs are the attributes that files and folders have in common.
type attrs struct {
	Owner owner          `arg:"owner"`
	Group owner          `arg:"group"`
	Mode  transport.Mode `arg:"mode"`
}

// file is a wanted file of a type with these attributes. Through shell(user=) what has no owner named belongs to that user.
func (c *call) file(t transport.FileType, a attrs) *converge.File {
	f := &converge.File{Type: t, Mode: a.Mode, Owner: transport.Text(a.Owner), Group: transport.Text(a.Group)}
	if f.Owner == "" {
		f.Owner = c.bound.user
	}
	return f
}

// fileResource is one file in a wanted state that is known beforehand.
type fileResource struct {
	want    converge.Object
	opts    converge.FileOptions
	parents bool           // make the missing folders above it
	maker   transport.Text // who gets those; "": the acting user
}

func (r *fileResource) Name() string { return r.want.Key.String() }

func (r *fileResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	if !r.parents {
		return []converge.Object{r.want}, nil
	}
	above, err := missingParents(ctx, h, transport.Path(r.want.Key.Name), r.maker)
	return append(above, r.want), err
}

func (r *fileResource) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	for _, p := range delta {
		if err := converge.ApplyFile(ctx, h, p, r.opts); err != nil {
			return err
		}
	}
	return nil
}

// writing are the arguments of everything that writes a whole file.
type writing struct {
	common
	attrs
	Path      transport.Path `arg:"path"`
	Backup    bool           `arg:"backup"`
	Validate  command        `arg:"validate"`
	Follow    bool           `arg:"follow"`
	Force     bool           `arg:"force"`
	Parents   bool           `arg:"parents"`
	Sensitive bool           `arg:"sensitive"`
}

// resource is the file that is to hold content.
func (w writing) resource(c *call, content transport.Content) (*fileResource, error) {
	f := c.file(transport.Regular, w.attrs)
	f.Content, f.Follow, f.Replace = &content, w.Follow, w.Force
	opts, err := w.options(c)
	return &fileResource{want: converge.Object{Key: converge.FileKey(w.Path), File: f, Hidden: w.Sensitive}, opts: opts, parents: w.Parents, maker: c.bound.user}, err
}

func (w writing) options(c *call) (converge.FileOptions, error) {
	o := converge.FileOptions{}
	if w.Validate.given() {
		if !strings.Contains(w.Validate.text, "%s") {
			return o, fmt.Errorf("%s: validate: %q does not hold %%s, which stands for the name of the new file", c.name, w.Validate.text)
		}
		o.Validate = transport.Texts(w.Validate.forFile()...)
	}
	if w.Backup {
		now, err := c.Session.Ask(transport.AskTime, "")
		if err != nil {
			return o, err
		}
		b, err := now.ReadAll(64)
		if err != nil {
			return o, err
		}
		o.Backup = w.Path + transport.Path("."+string(b)+"~")
	}
	return o, nil
}

func filePut(c *call, a struct {
	writing
	Content data    `arg:"content"`
	Src     *string `arg:"src"`
}) (starlark.Value, error) {
	if (a.Content == nil) == (a.Src == nil) {
		return nil, fmt.Errorf("file.put: give content or src, one of them")
	}
	content := a.Content
	if a.Src != nil {
		from, err := c.source(*a.Src)
		if err != nil {
			return nil, err
		}
		content = &from
	}
	r, err := a.resource(c, *content)
	if err != nil {
		return nil, err
	}
	return c.converge(r)
}
