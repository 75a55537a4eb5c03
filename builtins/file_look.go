package builtins

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// lookLimit is the largest file that file.read and file.contains take.
const lookLimit = transport.ReadLimit

type lookArgs struct {
	Path   transport.Path `arg:"path"`
	Follow bool           `arg:"follow"`
}

// look runs an observing step about a path.
func (c *call) look(p transport.Path, f func(ctx context.Context, h transport.Host) error) error {
	return c.Session.Observe(c.step, converge.FileKey(p).String(), f)
}

func fileExists(c *call, a lookArgs) (starlark.Value, error) {
	there := false
	err := c.look(a.Path, func(ctx context.Context, h transport.Host) error {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: a.Path, Follow: a.Follow})
		there = err == nil && fi.Type != transport.Absent
		return err
	})
	return starlark.Bool(there), err
}

func fileStat(c *call, a struct {
	lookArgs
	Digest bool `arg:"digest"`
}) (starlark.Value, error) {
	var fi transport.FileInfo
	err := c.look(a.Path, func(ctx context.Context, h transport.Host) (err error) {
		fi, err = transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: a.Path, Follow: a.Follow, Digest: a.Digest})
		return err
	})
	if err != nil || fi.Type == transport.Absent {
		return starlark.None, err
	}
	return statValue(fi), nil
}

// statValue shows attributes; what a plan cannot know of a predicted file is None.
func statValue(fi transport.FileInfo) starlark.Value {
	text := func(t string) starlark.Value {
		if t == "" {
			return starlark.None
		}
		return starlark.String(t)
	}
	id := func(n int) starlark.Value {
		if n < 0 {
			return starlark.None
		}
		return starlark.MakeInt(n)
	}
	mtime := starlark.Value(starlark.None)
	if fi.ModTime != 0 {
		mtime = starlark.MakeInt64(fi.ModTime)
	}
	return starlarkstruct.FromStringDict(starlark.String("stat"), starlark.StringDict{
		"type": starlark.String(fi.Type), "mode": text(string(fi.Mode)), "owner": text(string(fi.Owner)), "group": text(string(fi.Group)),
		"uid": id(fi.UID), "gid": id(fi.GID), "size": starlark.MakeInt64(fi.Size), "mtime": mtime,
		"target": text(string(fi.Target)), "digest": text(string(fi.Digest)),
	})
}

// readWhole reads a file that must fit.
func readWhole(ctx context.Context, h transport.Host, p transport.Path) ([]byte, error) {
	d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: p})
	if err != nil {
		return nil, err
	}
	if d.More {
		return nil, &transport.Error{
			Kind: transport.Refused, Path: p, Message: fmt.Sprintf("read %s: it is larger than %d MiB", p, lookLimit>>20),
			Hint: "file.fetch brings large files to the controller; query can ask about them there",
		}
	}
	return d.Content.ReadAll(lookLimit)
}

func fileRead(c *call, a struct {
	Path    transport.Path `arg:"path"`
	Default *string        `arg:"default"`
}) (starlark.Value, error) {
	var text []byte
	err := c.look(a.Path, func(ctx context.Context, h transport.Host) (err error) {
		text, err = readWhole(ctx, h, a.Path)
		if a.Default != nil && transport.KindOf(err) == transport.NotFound {
			text, err = []byte(*a.Default), nil
		}
		return err
	})
	return starlark.String(text), err
}

func fileContains(c *call, a struct {
	Path transport.Path `arg:"path"`
	Text *string        `arg:"text"`
	Expr *string        `arg:"match"`
}) (starlark.Value, error) {
	if (a.Text == nil) == (a.Expr == nil) {
		return nil, fmt.Errorf("file.contains: give text or match, one of them")
	}
	var re *regexp.Regexp
	if a.Expr != nil {
		var err error
		if re, err = regexp.Compile("(?m)" + *a.Expr); err != nil {
			return nil, fmt.Errorf("file.contains: match: %w", err)
		}
	}
	found := false
	err := c.look(a.Path, func(ctx context.Context, h transport.Host) error {
		b, err := readWhole(ctx, h, a.Path)
		if transport.KindOf(err) == transport.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		found = re != nil && re.Match(b) || a.Text != nil && bytes.Contains(b, []byte(*a.Text))
		return nil
	})
	return starlark.Bool(found), err
}

func fileGlob(c *call, a struct {
	Pattern transport.Path `arg:"pattern"`
}) (starlark.Value, error) {
	pattern := string(a.Pattern)
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("file.glob: pattern %q: %w", pattern, err)
	}
	var hits []string
	err := c.look(a.Pattern, func(ctx context.Context, h transport.Host) (err error) {
		hits, err = glob(ctx, h, strings.Split(strings.TrimPrefix(pattern, "/"), "/"))
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]starlark.Value, len(hits))
	for i, p := range hits {
		out[i] = starlark.String(p)
	}
	return starlark.NewList(out), nil
}

// glob expands a pattern name by name, listing only folders that can hold a hit. As in a shell, a wildcard does not match a leading
// dot.
func glob(ctx context.Context, h transport.Host, names []string) ([]string, error) {
	found := []string{""}
	for i, name := range names {
		var next []string
		for _, dir := range found {
			some, err := globIn(ctx, h, dir, name, i == len(names)-1)
			if err != nil {
				return nil, err
			}
			next = append(next, some...)
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

func globIn(ctx context.Context, h transport.Host, dir, name string, last bool) ([]string, error) {
	if !strings.ContainsAny(name, `*?[\`) {
		p := dir + "/" + name
		if !last {
			return []string{p}, nil
		}
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: transport.Path(p)})
		if err != nil || fi.Type == transport.Absent {
			return nil, err
		}
		return []string{p}, nil
	}
	folder := transport.Path(dir)
	if dir == "" {
		folder = "/"
	}
	list, err := transport.Do[transport.Listing](ctx, h, transport.List{Path: folder})
	switch transport.KindOf(err) {
	case transport.NotFound, transport.Refused: // no such folder, or it is none
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list.Entries {
		base := string(e.Path)
		if strings.HasPrefix(base, ".") && !strings.HasPrefix(name, ".") {
			continue
		}
		if ok, _ := path.Match(name, base); ok && (last || e.Type == transport.Dir || e.Type == transport.Symlink) {
			out = append(out, dir+"/"+base)
		}
	}
	return out, nil
}
