package converge

import (
	"context"
	"path"
	"strings"

	"fabgo/transport"
)

// unitFolders are where systemd looks for unit files, the strongest first (systemd.unit(5)).
var unitFolders = []transport.Path{
	"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

// unitFromFile is the row of a unit that systemd does not know, but whose file a step of the plan makes: it would be loaded when it is
// first asked for, and not run yet. nil: no step does.
func (o *Overlay) unitFromFile(ctx context.Context, name string) (map[string]transport.Text, error) {
	files := []string{name}
	if stem, instance, ok := strings.Cut(strings.TrimSuffix(name, path.Ext(name)), "@"); ok && instance != "" {
		files = append(files, stem+"@"+path.Ext(name))
	}
	for _, file := range files {
		for _, dir := range unitFolders {
			n, veil, _, _ := o.above(dir.Join(file))
			if n != nil && n.veil != nil {
				veil = n.veil
			}
			if veil != nil && (n == nil || n.pred == nil) {
				return nil, veiled(dir.Join(file), veil)
			}
			if n == nil || n.pred == nil || n.pred.obj.Absent {
				continue
			}
			f := map[string]transport.Text{
				"load": "loaded", "active": "inactive", "sub": "dead", "enabled": "static", "stale": "no", "reload": "no", "file": transport.Text(dir.Join(file)),
			}
			if strings.HasSuffix(name, ".service") {
				f["result"] = "success"
			}
			if n.pred.obj.File.Target == "/dev/null" {
				f["load"], f["enabled"] = "masked", "masked"
				return f, nil
			}
			data, err := o.read(ctx, transport.Read{Path: dir.Join(file)})
			if err != nil {
				return nil, err
			}
			b, err := data.Content.ReadAll(transport.ReadLimit)
			if err != nil {
				return nil, err
			}
			describeUnit(string(b), f)
			return f, nil
		}
	}
	return nil, nil
}

// describeUnit sets the columns that follow from the text of a unit file.
func describeUnit(text string, f map[string]transport.Text) {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(v) == "" {
			continue
		}
		switch k = strings.TrimSpace(k); {
		case section == "[Service]" && k == "ExecReload":
			f["reload"] = "yes"
		case section == "[Install]" && (k == "WantedBy" || k == "RequiredBy" || k == "UpheldBy" || k == "Also" || k == "Alias"):
			f["enabled"] = "disabled"
		}
	}
}

// completeUnit fills in the columns of a predicted unit that follow from what is wanted of it and from the file that is predicted.
func (o *Overlay) completeUnit(ctx context.Context, obj Object) error {
	f := obj.Fields
	if obj.Absent {
		return nil
	}
	if f["enabled"] == "masked" {
		f["load"] = "masked"
		return nil
	}
	file, err := o.unitFromFile(ctx, obj.Key.Name)
	if err != nil || file == nil || file["load"] == "masked" {
		return err
	}
	f["reload"], f["file"] = file["reload"], file["file"]
	if e := f["enabled"]; e == "" || e == "static" || e == "disabled" {
		f["enabled"] = file["enabled"]
	}
	for _, k := range []string{"active", "sub", "result"} {
		if v, ok := file[k]; ok && f[k] == "" {
			f[k] = v
		}
	}
	return nil
}
