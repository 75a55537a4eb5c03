// Package controller answers the questions that a session puts to the machine where fabgo was typed: files of the bundle, a random
// token, the time.
//
// The one rule: what a bundle learns from here is an op like any other, so that it is recorded and a replay needs no controller.
//
// The trap: names come from bundles and, once bundles are evaluated beside their hosts, from hosts. A name leads to a file of the
// bundle's repository or of a library, nowhere else, unless the bundle names an absolute path and AbsolutePaths allows it.
//
// The promise: the file that is answered is the one that was hashed; should it change while it is sent, the sending fails.
package controller

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"fabgo/transport"
)

// Controller answers Ask ops.
type Controller struct {
	Root          string           // the folder that "//" means
	Override      string           // a folder whose files win over those of the same path anywhere else; "" for none
	Libraries     map[string]fs.FS // what "@name//" means
	AbsolutePaths bool             // files may be named by absolute paths
	Now           func() time.Time
	Spelled       Spelled // not nil: those who ask are not trusted
	// Secret gives the bytes of a secret; nil: there are none.
	Secret func(name string) ([]byte, error)

	// Overridden is told, not nil, which file of Override is answered with instead of what a name means; by several goroutines at once.
	Overridden func(name, file string)
}

// Over lets c answer the Ask ops and h all others.
func (c *Controller) Over(h transport.Host) transport.Host {
	return transport.HostFunc(func(ctx context.Context, op transport.Op) (transport.Result, error) {
		if a, ok := op.(transport.Ask); ok {
			return c.answer(a)
		}
		return h.Do(ctx, op)
	})
}

func (c *Controller) answer(a transport.Ask) (transport.Result, error) {
	switch a.What {
	case transport.AskTime:
		return transport.Data{Content: transport.String(c.Now().UTC().Format("2006-01-02T15:04:05Z"))}, nil
	case transport.AskToken:
		var b [16]byte
		rand.Read(b[:])
		return transport.Data{Content: transport.String(hex.EncodeToString(b[:]))}, nil
	case transport.AskFile:
		if err := c.mayRead(string(a.Name)); err != nil {
			return nil, err
		}
		content, err := c.file(string(a.Name))
		if err != nil {
			return nil, c.explain(string(a.Name), err)
		}
		return transport.Data{Content: content}, nil
	case transport.AskTree:
		if err := c.mayRead(string(a.Name)); err != nil {
			return nil, err
		}
		entries, err := c.tree(string(a.Name))
		if err != nil {
			return nil, c.explain(string(a.Name), err)
		}
		return transport.Data{Content: transport.Manifest(entries)}, nil
	case transport.AskFiles:
		content, err := c.pack(a)
		if err != nil {
			return nil, c.explain(string(a.Name), err)
		}
		return transport.Data{Content: content}, nil
	}
	if a.What == transport.AskSecret {
		return c.secret(string(a.Name))
	}
	return nil, &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("ask %s: this fabgo does not know the question", a.What)}
}

func (c *Controller) secret(name string) (transport.Result, error) {
	if c.Spelled != nil && !slices.Contains(c.Spelled, name) {
		return nil, &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("secret %s: the bundle does not name it, and a host that asks for secrets by itself is not answered", name),
			Hint: "write the name into the bundle as one text, or evaluate it here: --evaluate=controller"}
	}
	if c.Secret == nil {
		return nil, &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("secret %s: there are no secrets here", name)}
	}
	b, err := c.Secret(name)
	if err != nil {
		return nil, &transport.Error{Kind: transport.NotFound, Message: err.Error(), Err: err}
	}
	return transport.Data{Content: transport.Bytes(b)}, nil
}

func (c *Controller) explain(name string, err error) error {
	e := &transport.Error{Kind: transport.IO, Message: fmt.Sprintf("read %s: %v", name, err), Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Message = transport.NotFound, fmt.Sprintf("read %s: there is no such file", name)
		e.Hint = "src is relative to the .star file that names it; //path is relative to " + c.Root
	case errors.Is(err, fs.ErrPermission):
		e.Kind = transport.Denied
	}
	if te, ok := errors.AsType[*transport.Error](err); ok {
		e.Kind, e.Hint = te.Kind, te.Hint
	}
	return e
}

// place finds what a name means: a file system and a path in it, or a path of this machine.
func (c *Controller) place(name string) (fsys fs.FS, file string, err error) {
	over := override(c.Override)
	if file := over.of(name); file != "" {
		if c.Overridden != nil {
			c.Overridden(name, over.path(file))
		}
		return rooted(c.Override), file, nil
	}
	return c.meant(name)
}

// meant is place without the override.
func (c *Controller) meant(name string) (fsys fs.FS, file string, err error) {
	if strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "//") {
		if !c.AbsolutePaths {
			return nil, "", fmt.Errorf("absolute paths are not read")
		}
		return os.DirFS("/"), strings.TrimPrefix(path.Clean(name), "/"), nil
	}
	module, file, ok := inRepository(name)
	if !ok {
		return nil, "", fmt.Errorf("%q is no name of a file of the bundle", name)
	}
	if module == "" {
		return rooted(c.Root), file, nil
	}
	lib := c.Libraries[strings.TrimPrefix(module, "@")]
	if lib == nil {
		return nil, "", fmt.Errorf("there is no library %s", module)
	}
	return lib, file, nil
}

func (c *Controller) file(name string) (transport.Content, error) {
	fsys, file, err := c.place(name)
	if err != nil {
		return transport.Content{}, err
	}
	return contentOf(fsys, file)
}

// Read gives a file of the bundle, of at most limit bytes, by the name that an Ask would use: for checks before there is a session.
func (c *Controller) Read(name string, limit int64) ([]byte, error) {
	content, err := c.file(name)
	if err != nil {
		return nil, c.explain(name, err)
	}
	return content.ReadAll(limit)
}
