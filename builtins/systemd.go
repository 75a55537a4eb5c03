package builtins

import (
	"context"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func systemdNatives() starlark.StringDict {
	return merge(
		native("systemd.unit", systemdUnit),
		native("systemd.absent", systemdAbsent),
		native("systemd.timer", systemdTimer),
	)
}

const unitFolder = transport.Path("/etc/systemd/system")

// unitFiles are unit files in wanted states, and what is wanted of the units once systemd has read them.
type unitFiles struct {
	systemctl
	files []converge.Object
	// after is what is wanted of the units besides that they are loaded, by column.
	after map[string]transport.Text
}

func (r *unitFiles) Name() string { return "unit:" + r.unit }

func (r *unitFiles) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	f, _, err := row(ctx, h, transport.Units, r.unit)
	if err != nil && converge.CauseOf(err) == nil {
		return nil, err
	}
	if f["load"] == "masked" {
		return nil, r.masked()
	}
	fields := map[string]transport.Text{"load": "loaded", "stale": "no"}
	for k, v := range r.after {
		fields[k] = v
	}
	return append(r.files[:len(r.files):len(r.files)], converge.Object{Key: r.key(), Fields: fields}), nil
}

func (r *unitFiles) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	for _, p := range delta {
		if p.Want.File == nil {
			continue
		}
		if err := converge.ApplyFile(ctx, h, p, converge.FileOptions{}); err != nil {
			return err
		}
	}
	if err := daemonReload(ctx, h); err != nil {
		return err
	}
	f, err := r.row(ctx, h)
	if err != nil {
		return err
	}
	if f["load"] != "loaded" {
		return r.bad(ctx, h, f)
	}
	if f["enabled"] != r.after["enabled"] && r.after["enabled"] == "enabled" {
		if err := r.do(ctx, h, nil, "enable"); err != nil {
			return err
		}
	}
	if r.after["active"] != "active" {
		return nil
	}
	// a timer that runs goes by the old times until it is restarted
	return r.do(ctx, h, nil, "restart")
}

// bad says what systemd finds wrong with a unit file.
func (r *unitFiles) bad(ctx context.Context, h transport.Host, f map[string]transport.Text) error {
	e := &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("systemd cannot load %s: %s", r.unit, f["load"])}
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts("systemd-analyze", "verify", r.unit)})
	if err == nil {
		e.Stderr = out.Stderr
	}
	return e
}

func unitFile(name string, content transport.Content, mode transport.Mode) converge.Object {
	return converge.Object{
		Key:  converge.FileKey(unitFolder.Join(name)),
		File: &converge.File{Type: transport.Regular, Content: &content, Mode: mode},
	}
}

type unitArgs struct {
	common
	Name    string         `arg:"name"`
	Content data           `arg:"content"`
	Src     *string        `arg:"src"`
	DropIn  *string        `arg:"drop_in"`
	Mode    transport.Mode `arg:"mode"`
}

func systemdUnit(c *call, a unitArgs) (starlark.Value, error) {
	s, err := c.systemctl(a.Name)
	if err != nil {
		return nil, err
	}
	content := a.Content
	switch {
	case (a.Content == nil) == (a.Src == nil):
		return nil, fmt.Errorf("systemd.unit: give content or src, one of them")
	case a.Src != nil:
		from, err := c.source(*a.Src)
		if err != nil {
			return nil, err
		}
		content = &from
	}
	r := &unitFiles{systemctl: s}
	if a.DropIn == nil {
		r.files = []converge.Object{unitFile(s.unit, *content, a.Mode)}
		return c.converge(r)
	}
	name, err := dropIn(*a.DropIn)
	if err != nil {
		return nil, err
	}
	folder := unitFolder.Join(s.unit + ".d")
	r.files = []converge.Object{
		{Key: converge.FileKey(folder), File: &converge.File{Type: transport.Dir}},
		unitFile(s.unit+".d/"+name, *content, a.Mode),
	}
	return c.converge(r)
}

func dropIn(name string) (string, error) {
	if err := unitChars(name); err != nil || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("systemd: drop_in: %q is no name of a file", name)
	}
	return strings.TrimSuffix(name, ".conf") + ".conf", nil
}

func systemdAbsent(c *call, a struct {
	common
	Name   string  `arg:"name"`
	DropIn *string `arg:"drop_in"`
}) (starlark.Value, error) {
	s, err := c.systemctl(a.Name)
	if err != nil {
		return nil, err
	}
	r := &unitGone{systemctl: s, file: unitFolder.Join(s.unit), whole: a.DropIn == nil}
	if a.DropIn != nil {
		name, err := dropIn(*a.DropIn)
		if err != nil {
			return nil, err
		}
		r.file = unitFolder.Join(s.unit+".d", name)
	}
	return c.converge(r)
}

// unitGone is a unit file that is not to be there.
type unitGone struct {
	systemctl
	file  transport.Path
	whole bool
}

func (r *unitGone) Name() string { return "unit:" + r.unit }

func (r *unitGone) Want(context.Context, transport.Host) ([]converge.Object, error) {
	return []converge.Object{{Key: converge.FileKey(r.file), Absent: true}}, nil
}

func (r *unitGone) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	f, ok, err := row(ctx, h, transport.Units, r.unit)
	if err != nil {
		return err
	}
	if r.whole && ok && f["load"] == "loaded" {
		if f["active"] != "inactive" && f["active"] != "failed" {
			if err := r.do(ctx, h, nil, "stop"); err != nil {
				return err
			}
		}
		if f["enabled"] == "enabled" {
			if err := r.do(ctx, h, nil, "disable"); err != nil {
				return err
			}
		}
	}
	if err := converge.ApplyFile(ctx, h, delta[0], converge.FileOptions{}); err != nil && transport.KindOf(err) != transport.NotFound {
		return err
	}
	return daemonReload(ctx, h)
}
