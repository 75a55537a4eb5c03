package builtins

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func limitsNatives() starlark.StringDict {
	return merge(native("limits.set", limitsSet), native("limits.absent", limitsAbsent))
}

const limitsFolder transport.Path = "/etc/security/limits.d"

var (
	limitItems = []string{"as", "chroot", "core", "cpu", "data", "fsize", "locks", "maxlogins", "maxsyslogins", "memlock", "msgqueue", "nice", "nofile", "nonewprivs", "nproc",
		"priority", "rss", "rtprio", "sigpending", "stack"}
	limitDomain = whenUsed(`^(\*|%|[@%]?[A-Za-z0-9_.+$-]+|@?[0-9]*:[0-9]*)$`)
)

// limitPlace says which limit is meant, and in which file.
type limitPlace struct {
	Domain string `arg:"domain"`
	Item   string `arg:"item"`
	File   string `arg:"file"`
}

func (a limitPlace) check() error {
	switch {
	case !limitDomain().MatchString(a.Domain) || strings.Trim(a.Domain, "@") == ":" || a.Domain[0] == '-':
		return fmt.Errorf("domain: %q is none that pam_limits takes: want a user, \"@group\", \"*\", or ids such as \"1000:\"", a.Domain)
	case !slices.Contains(limitItems, a.Item):
		return fmt.Errorf("item: got %q, want one of %s", a.Item, strings.Join(limitItems, ", "))
	case !sysctlFileName().MatchString(a.File):
		return fmt.Errorf("file: %q is no name of a file in %s", a.File, limitsFolder)
	}
	return nil
}

func (a limitPlace) path() transport.Path {
	return limitsFolder.Join(strings.TrimSuffix(a.File, ".conf") + ".conf")
}

func (a limitPlace) name() string { return "limits:" + a.Domain + " " + a.Item }

// value is a limit as limits.conf(5) writes it.
func (a limitPlace) value(what string, v starlark.Value) (string, error) {
	var text string
	switch v := v.(type) {
	case starlark.Int:
		text = v.String()
	case starlark.String:
		text = string(v)
	default:
		return "", fmt.Errorf("%s: %w", what, mismatch(v, "a number, or \"unlimited\""))
	}
	signed := a.Item == "nice" || a.Item == "priority"
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case a.Item == "chroot" && strings.HasPrefix(text, "/") && !strings.ContainsAny(text, " \t\r\n#"):
		return text, nil
	case !signed && (text == "unlimited" || text == "infinity" || text == "-1"):
		return "unlimited", nil
	case err == nil && strconv.FormatInt(n, 10) == text && (n >= 0 || signed && n >= -20) && (a.Item != "nice" || n <= 19):
		return text, nil
	}
	return "", fmt.Errorf("%s: got %q, want %s", what, text, map[bool]string{true: "a number from -20 on (nice: to 19)", false: "a number from 0 on, or \"unlimited\""}[signed])
}

type limitsArgs struct {
	common
	limitPlace
	Value starlark.Value `arg:"value"`
	Soft  starlark.Value `arg:"soft"`
	Hard  starlark.Value `arg:"hard"`
}

// limitLine is a line of limits.conf(5).
type limitLine struct{ domain, kind, item, value string }

func parseLimitLine(line string) (limitLine, bool) {
	line, _, _ = strings.Cut(line, "#")
	f := strings.Fields(line)
	if len(f) != 4 {
		return limitLine{}, false
	}
	return limitLine{f[0], f[1], f[2], f[3]}, true
}

func (l limitLine) String() string {
	return l.domain + "\t" + l.kind + "\t" + l.item + "\t" + l.value
}

func limitsSet(c *call, a limitsArgs) (starlark.Value, error) {
	bad := func(err error) (starlark.Value, error) { return nil, fmt.Errorf("limits.set: %w", err) }
	if err := a.check(); err != nil {
		return bad(err)
	}
	if (a.Value == nil) == (a.Soft == nil && a.Hard == nil) {
		return bad(fmt.Errorf("give value, which is both limits, or soft and hard, or one of them"))
	}
	var want []limitLine
	for _, o := range []struct {
		name, kind string
		value      starlark.Value
	}{{"value", "-", a.Value}, {"soft", "soft", a.Soft}, {"hard", "hard", a.Hard}} {
		if o.value == nil {
			continue
		}
		text, err := a.value(o.name, o.value)
		if err != nil {
			return bad(err)
		}
		want = append(want, limitLine{a.Domain, o.kind, a.Item, text})
	}
	if len(want) == 2 {
		soft, err1 := strconv.ParseInt(want[0].value, 10, 64)
		hard, err2 := strconv.ParseInt(want[1].value, 10, 64)
		if a.Item != "nice" && a.Item != "priority" && (err1 == nil && err2 == nil && soft > hard || want[0].value == "unlimited" && err2 == nil) {
			return bad(fmt.Errorf("soft: %s is more than hard, %s", want[0].value, want[1].value))
		}
	}
	return c.converge(a.edited(true, func(l *lines) { putLimits(l, want) }))
}

// putLimits makes each of the lines stand once. A line for both limits and lines for one of them exclude each other.
func putLimits(l *lines, want []limitLine) {
	there := map[string]bool{}
	for i := len(l.text) - 1; i >= 0; i-- {
		have, ok := parseLimitLine(l.text[i])
		if !ok || have.domain != want[0].domain || have.item != want[0].item {
			continue
		}
		at := slices.IndexFunc(want, func(w limitLine) bool { return w.kind == have.kind })
		switch {
		case at >= 0 && !there[have.kind]:
			there[have.kind] = true
			if have != want[at] {
				l.set(i, want[at].String())
			}
		case at >= 0, have.kind == "-", want[0].kind == "-":
			l.remove(i, i+1)
		}
	}
	for _, w := range want {
		if !there[w.kind] {
			l.insert(len(l.text), w.String())
		}
	}
}

// edited is the file after an edit, with its folder where that is needed.
func (a limitPlace) edited(folder bool, edit func(l *lines)) *placedLines {
	want := func(ctx context.Context, h transport.Host) ([]converge.Object, error) {
		o, err := changedLines(ctx, h, a.path(), converge.File{Mode: "0644", Follow: true}, func(l *lines) error {
			edit(l)
			return nil
		})
		if folder {
			return []converge.Object{anyFolder(limitsFolder), o}, err
		}
		return []converge.Object{o}, err
	}
	return &placedLines{linesFile{a.name(), want}, []transport.Path{a.path()}}
}

func limitsAbsent(c *call, a struct {
	common
	limitPlace
}) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("limits.absent: %w", err)
	}
	return c.converge(a.edited(false, func(l *lines) {
		for i := len(l.text) - 1; i >= 0; i-- {
			if have, ok := parseLimitLine(l.text[i]); ok && have.domain == a.Domain && have.item == a.Item {
				l.remove(i, i+1)
			}
		}
	}))
}
