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

func sysctlNatives() starlark.StringDict {
	return merge(native("sysctl.set", sysctlSet), native("sysctl.absent", sysctlAbsent))
}

const sysctlFolder transport.Path = "/etc/sysctl.d"

var (
	sysctlName     = whenUsed(`^[A-Za-z0-9_:@-]+([./][A-Za-z0-9_:@-]+)+$`)
	sysctlFileName = whenUsed(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
)

// sysctlPlace says which setting is meant, and which file keeps it.
type sysctlPlace struct {
	Name string `arg:"name"`
	File string `arg:"file"`
}

func (a sysctlPlace) check() error {
	if !sysctlName().MatchString(a.Name) {
		return fmt.Errorf("name: %q is no name of a kernel setting such as \"vm.swappiness\"", a.Name)
	}
	if strings.HasPrefix(a.File, "/") {
		if _, err := transport.NewPath(a.File); err != nil {
			return fmt.Errorf("file: %w", err)
		}
		return nil
	}
	if !sysctlFileName().MatchString(a.File) {
		return fmt.Errorf("file: %q is neither a name of a file in %s nor an absolute path", a.File, sysctlFolder)
	}
	return nil
}

func (a sysctlPlace) path() transport.Path {
	if p, err := transport.NewPath(a.File); err == nil {
		return p
	}
	return sysctlFolder.Join(strings.TrimSuffix(a.File, ".conf") + ".conf")
}

type sysctlArgs struct {
	common
	sysctlPlace
	Value    starlark.Value `arg:"value"`
	Live     bool           `arg:"live"`
	Persist  bool           `arg:"persist"`
	Optional bool           `arg:"optional"`
}

// text is the value as the kernel shows it, white space folded.
func (a sysctlArgs) text() (string, error) {
	switch v := a.Value.(type) {
	case starlark.Bool:
		if v {
			return "1", nil
		}
		return "0", nil
	case starlark.Int:
		return v.String(), nil
	case starlark.String:
		if err := oneLine("value", string(v)); err != nil {
			return "", err
		}
		if text := strings.Join(strings.Fields(string(v)), " "); text != "" {
			return text, nil
		}
		return "", fmt.Errorf("value: it is empty")
	}
	return "", fmt.Errorf("value: %w", mismatch(a.Value, "a number, a text, True or False"))
}

func sysctlSet(c *call, a sysctlArgs) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("sysctl.set: %w", err)
	}
	value, err := a.text()
	if err == nil && !a.Live && !a.Persist {
		err = fmt.Errorf("with live = False and persist = False there is nothing to set")
	}
	if err != nil {
		return nil, fmt.Errorf("sysctl.set: %w", err)
	}
	return c.converge(&sysctl{a, value})
}

// sysctl is a setting of the kernel: what it is now, and what it is to be after the next start.
type sysctl struct {
	args  sysctlArgs
	value string
}

func (r *sysctl) Name() string { return "sysctl:" + r.args.Name }

// Reach is the file. The setting itself is known whenever it is asked for.
func (r *sysctl) Reach() []converge.Object {
	return []converge.Object{{Key: converge.FileKey(r.args.path()), File: &converge.File{Type: transport.Regular, Follow: true}}}
}

func (r *sysctl) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	var want []converge.Object
	if r.args.Live {
		_, ok, err := row(ctx, h, transport.Sysctls, r.args.Name)
		switch {
		case err != nil && converge.CauseOf(err) == nil:
			return nil, err
		case err == nil && !ok && !r.args.Optional:
			return nil, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("set %s: this kernel has no such setting", r.args.Name),
				Hint: "a module may bring it: kernel.module before this; optional = True passes over it"}
		case err != nil || ok:
			want = append(want, converge.Object{Key: converge.Key{Table: transport.Sysctls, Name: r.args.Name}, Fields: map[string]transport.Text{"value": transport.Text(r.value)}})
		}
	}
	if !r.args.Persist {
		return want, nil
	}
	if err := r.overruled(ctx, h); err != nil {
		return nil, err
	}
	file, err := changedLines(ctx, h, r.args.path(), converge.File{Mode: "0644", Follow: true}, r.edit)
	if r.args.path().Dir() == sysctlFolder {
		want = append(want, anyFolder(sysctlFolder))
	}
	return append(want, file), err
}

// edit makes the last line of the setting right, and removes others of it.
func (r *sysctl) edit(l *lines) error {
	line := r.args.Name + " = " + r.value
	if r.args.Optional {
		line = "-" + line // sysctl.d(5): missing is no failure
	}
	there := false
	for i := len(l.text) - 1; i >= 0; i-- {
		key, value, optional, ok := parseSysctlLine(l.text[i])
		switch {
		case !ok || plainSysctl(key) != plainSysctl(r.args.Name):
		case there:
			l.remove(i, i+1)
		default:
			there = true
			if value != r.value || optional != r.args.Optional {
				l.set(i, line)
			}
		}
	}
	if !there {
		l.insert(len(l.text), line)
	}
	return nil
}

// parseSysctlLine reads a line of sysctl.conf(5).
func parseSysctlLine(line string) (key, value string, optional, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", false, false
	}
	key, value, ok = strings.Cut(line, "=")
	key, optional = strings.CutPrefix(strings.TrimSpace(key), "-")
	return strings.TrimSpace(key), strings.Join(strings.Fields(value), " "), optional, ok
}

// plainSysctl is a name with "/" between its parts: the separator that comes first separates, the other one stands for itself.
func plainSysctl(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		return strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, name)
	}
	return name
}

// overruled is an error when a file that is read after ours says otherwise: the setting would not survive the next start.
func (r *sysctl) overruled(ctx context.Context, h transport.Host) error {
	ours := r.args.path()
	var later []transport.Path
	for _, folder := range []transport.Path{sysctlFolder, "/run/sysctl.d", "/usr/lib/sysctl.d"} {
		l, err := transport.Do[transport.Listing](ctx, h, transport.List{Path: folder})
		if transport.KindOf(err) == transport.NotFound || converge.CauseOf(err) != nil {
			continue // nothing, or nothing that can be told before the run
		}
		if err != nil {
			return err
		}
		for _, e := range l.Entries {
			name := string(e.Path)
			if strings.HasSuffix(name, ".conf") && (name > ours.Base() || ours == "/etc/sysctl.conf") && !slices.ContainsFunc(later, func(p transport.Path) bool { return p.Base() == name }) {
				later = append(later, folder.Join(name)) // the first folder that has a name hides it in the others
			}
		}
	}
	slices.SortFunc(later, func(a, b transport.Path) int { return strings.Compare(a.Base(), b.Base()) })
	if ours == "/etc/sysctl.conf" {
		later = nil // Debian reads it as 99-sysctl.conf, others last of all
	} else {
		later = append(later, "/etc/sysctl.conf")
	}
	for _, p := range later {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p, Follow: true})
		if converge.CauseOf(err) != nil || err == nil && fi.Type != transport.Regular {
			continue
		}
		if err != nil {
			return err
		}
		b, err := readPieces(ctx, h, p, editLimit)
		if converge.CauseOf(err) != nil {
			continue
		}
		if err != nil {
			return err
		}
		for _, t := range linesOf(b).text {
			if key, value, _, ok := parseSysctlLine(t); ok && plainSysctl(key) == plainSysctl(r.args.Name) && value != r.value {
				return &transport.Error{Kind: transport.Refused, Path: p, Message: fmt.Sprintf("set %s in %s: %s is read later and says %q", r.args.Name, ours, p, value),
					Hint: fmt.Sprintf("take it away there: sysctl.absent(%q, file = %q); or set it there, by the same file =", r.args.Name, string(p))}
			}
		}
	}
	return nil
}

func (r *sysctl) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	for _, p := range delta {
		if p.Want.Key.Table != transport.Sysctls {
			continue
		}
		err := change(ctx, h, "only root sets it; a container shares the kernel with others and may not be allowed to: persist = False and live = False choose one side", nil,
			"sysctl", "-w", r.args.Name+"="+r.value)
		if transport.KindOf(err) == transport.NotFound {
			return &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("set %s: there is no command sysctl", r.args.Name), Hint: "pkg.install(\"procps\") brings it", Err: err}
		}
		if err != nil {
			return err
		}
	}
	return applyFiles(ctx, h, delta)
}

func sysctlAbsent(c *call, a struct {
	common
	sysctlPlace
}) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("sysctl.absent: %w", err)
	}
	want := func(ctx context.Context, h transport.Host) ([]converge.Object, error) {
		o, err := changedLines(ctx, h, a.path(), converge.File{Follow: true}, func(l *lines) error {
			for i := len(l.text) - 1; i >= 0; i-- {
				if key, _, _, ok := parseSysctlLine(l.text[i]); ok && plainSysctl(key) == plainSysctl(a.Name) {
					l.remove(i, i+1)
				}
			}
			return nil
		})
		return []converge.Object{o}, err
	}
	return c.converge(&placedLines{linesFile{"sysctl:" + a.Name, want}, []transport.Path{a.path()}})
}
