package builtins

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// aptName is a name of a file below /etc/apt, without its suffix: apt ignores files with others, and says so only in passing.
var aptName = whenUsed(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

func checkAptName(name string) error {
	if !aptName().MatchString(name) || len(name) > 200 {
		return fmt.Errorf("name: %q: apt takes only letters, digits, \"_\", \"-\" and \".\" for the name of a file", name)
	}
	return nil
}

// aptFiles are files below /etc/apt in wanted states.
type aptFiles struct {
	what  string
	files []converge.Object
}

func (r *aptFiles) Name() string { return r.what }

func (r *aptFiles) Want(context.Context, transport.Host) ([]converge.Object, error) {
	return r.files, nil
}

func (r *aptFiles) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	return applyFiles(ctx, h, delta)
}

func applyFiles(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	for _, p := range delta {
		if p.Want.Key.Table != converge.FileTable {
			continue
		}
		if err := converge.ApplyFile(ctx, h, p, converge.FileOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func aptFile(p transport.Path, content transport.Content) converge.Object {
	return converge.Object{Key: converge.FileKey(p), File: &converge.File{Type: transport.Regular, Content: &content, Mode: "0644"}}
}

func noFile(p transport.Path) converge.Object {
	return converge.Object{Key: converge.FileKey(p), Absent: true}
}

const aptPreferences transport.Path = "/etc/apt/preferences.d"

func aptPin(c *call, a struct {
	common
	Name        string   `arg:"name"`
	Package     []string `arg:"package"`
	Pin         string   `arg:"pin"`
	Priority    int      `arg:"priority"`
	Explanation string   `arg:"explanation"`
}) (starlark.Value, error) {
	bad := func(format string, args ...any) (starlark.Value, error) {
		return nil, fmt.Errorf("apt.pin: "+format, args...)
	}
	if err := checkAptName(a.Name); err != nil {
		return bad("%w", err)
	}
	for _, p := range a.Package {
		if err := aptWord("package", p); err != nil {
			return bad("%w", err)
		}
	}
	kind, value, _ := strings.Cut(a.Pin, " ")
	switch {
	case len(a.Package) == 0:
		return bad("package: name a package, or \"*\" for all")
	case kind != "release" && kind != "version" && kind != "origin" || strings.TrimSpace(value) == "" || strings.ContainsAny(value, "\n\r"):
		return bad("pin: got %q, want \"release a=stable\", \"version 1.22.*\" or \"origin deb.example.org\" (see apt_preferences(5))", a.Pin)
	case a.Priority == 0 || a.Priority < -32768 || a.Priority > 32767:
		return bad("priority: got %d, want a number other than 0, such as 990 (prefer), 100 (only upgrades of what is installed), -1 (never), 1001 (even downgrade)", a.Priority)
	case strings.ContainsAny(a.Explanation, "\n\r"):
		return bad("explanation: it must be one line")
	}
	text := "Package: " + strings.Join(a.Package, " ") + "\nPin: " + a.Pin + "\nPin-Priority: " + strconv.Itoa(a.Priority) + "\n"
	if a.Explanation != "" {
		text = "Explanation: " + a.Explanation + "\n" + text
	}
	return c.converge(&aptFiles{"apt:pin " + a.Name, []converge.Object{aptFile(aptPreferences.Join(a.Name+".pref"), transport.String(text))}})
}

type aptNameArgs struct {
	common
	Name string `arg:"name"`
}

func aptPinAbsent(c *call, a aptNameArgs) (starlark.Value, error) {
	if err := checkAptName(a.Name); err != nil {
		return nil, fmt.Errorf("apt.pin_absent: %w", err)
	}
	return c.converge(&aptFiles{"apt:pin " + a.Name, []converge.Object{noFile(aptPreferences.Join(a.Name + ".pref")), noFile(aptPreferences.Join(a.Name))}})
}
