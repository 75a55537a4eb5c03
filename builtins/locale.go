package builtins

import (
	"context"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func localeNatives() starlark.StringDict {
	return merge(native("locale.present", localeSet(true)), native("locale.absent", localeSet(false)), native("locale.default", localeDefault))
}

const (
	localeList      = transport.Path("/etc/locale.gen")
	localesKnown    = transport.Path("/usr/share/i18n/SUPPORTED")
	localeVariables = transport.Path("/etc/default/locale")
	localeConf      = transport.Path("/etc/locale.conf")
	localeTable     = transport.Table("locale")
	localeGenHint   = "pkg.install(\"locales\") brings what makes them"
)

var localeWord = whenUsed(`^(C|POSIX|[a-z]{2,8}(_[A-Z]{2})?)(\.[A-Za-z0-9-]+)?(@[A-Za-z0-9]+)?$`)

func checkLocale(what, name string) error {
	if !localeWord().MatchString(name) {
		return fmt.Errorf("%s: %q is no name of a locale such as \"de_DE.UTF-8\"", what, name)
	}
	return nil
}

type localeArgs struct {
	common
	Names []string `arg:"names"`
}

func localeSet(present bool) func(c *call, a localeArgs) (starlark.Value, error) {
	return func(c *call, a localeArgs) (starlark.Value, error) {
		if len(a.Names) == 0 {
			return nil, fmt.Errorf("%s: name at least one locale", c.name)
		}
		for _, n := range a.Names {
			if err := checkLocale("names", n); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		return c.converge(&locales{a.Names, present})
	}
}

// locales are locales that the C library has, or has not.
type locales struct {
	names   []string
	present bool
}

func (r *locales) Name() string { return "locale:" + strings.Join(r.names, ",") }

// Reach is the list: what is made of it no other step asks for.
func (r *locales) Reach() []converge.Object {
	return []converge.Object{{Key: converge.FileKey(localeList), File: &converge.File{Type: transport.Regular, Follow: true}}}
}

func (r *locales) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	known, err := r.known(ctx, h)
	if err != nil {
		return nil, err
	}
	var want []converge.Object
	for _, n := range r.names {
		if _, ok := known[n]; !ok && r.present {
			return nil, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("make the locale %s: %s does not name it", n, localesKnown),
				Hint: "it is written there as it is to be named here, such as \"de_DE.UTF-8\""}
		}
		o := converge.Object{Key: converge.Key{Table: localeTable, Name: n}, Absent: !r.present}
		if r.present {
			o.Fields, o.As = map[string]transport.Text{}, "generated"
		}
		want = append(want, o)
	}
	list, err := changedLines(ctx, h, localeList, converge.File{Follow: true}, func(l *lines) error {
		for _, n := range r.names {
			r.edit(l, n, known[n])
		}
		return nil
	})
	return append([]converge.Object{list}, want...), err
}

// known are the locales that can be made, with their charsets.
func (r *locales) known(ctx context.Context, h transport.Host) (map[string]string, error) {
	b, err := readPieces(ctx, h, localesKnown, editLimit)
	if transport.KindOf(err) == transport.NotFound {
		if !r.present {
			return nil, nil
		}
		return nil, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("make locales: there is no file %s", localesKnown), Hint: localeGenHint}
	}
	known := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 {
			known[f[0]] = f[1]
		}
	}
	return known, err
}

// edit puts a locale into the list, where it may stand as a comment, or makes it a comment.
func (r *locales) edit(l *lines, name, charset string) {
	found := false
	for i, t := range l.text {
		f := strings.Fields(strings.TrimLeft(t, "# \t"))
		if len(f) != 2 || f[0] != name {
			continue
		}
		comment := strings.HasPrefix(strings.TrimSpace(t), "#")
		switch {
		case r.present && f[1] != charset:
			continue
		case r.present && comment && !found:
			l.set(i, name+" "+charset)
		case !r.present && !comment:
			l.set(i, "# "+t)
		}
		found = true
	}
	if r.present && !found {
		l.insert(len(l.text), name+" "+charset)
	}
}

// Probe asks the C library which locales it has. It names their charsets in words of its own: utf8.
func (r *locales) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	have, err := converge.Find(ctx, h, want[:1])
	if err != nil {
		return nil, err
	}
	out, err := ask(ctx, h, "locale", "-a")
	cause := converge.CauseOf(err)
	if err != nil && cause == nil {
		return nil, err
	}
	there := map[string]bool{}
	for line := range strings.Lines(out) {
		there[plainLocale(strings.TrimSpace(line))] = true
	}
	for _, w := range want[1:] {
		o := converge.Object{Key: w.Key, Absent: true, Cause: cause}
		if there[plainLocale(w.Key.Name)] {
			o = converge.Object{Key: w.Key, Fields: map[string]transport.Text{}}
		}
		have = append(have, o)
	}
	return have, nil
}

// plainLocale writes charsets as the C library does.
func plainLocale(name string) string {
	base, modifier, _ := strings.Cut(name, "@")
	lang, charset, _ := strings.Cut(base, ".")
	charset = strings.ToLower(strings.ReplaceAll(charset, "-", ""))
	return lang + "." + charset + "@" + modifier
}

func (r *locales) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	if err := applyFiles(ctx, h, delta); err != nil {
		return err
	}
	argv := []string{"locale-gen"}
	if r.present {
		argv = append(argv, "--keep-existing")
	}
	err := change(ctx, h, localeGenHint, nil, argv...)
	if transport.KindOf(err) == transport.NotFound {
		return &transport.Error{Kind: transport.NotFound, Message: "make locales: there is no command locale-gen", Hint: localeGenHint, Err: err}
	}
	return err
}

type localeDefaultArgs struct {
	common
	Lang      string            `arg:"lang"`
	Variables map[string]string `arg:"variables"`
}

var localeVariable = whenUsed(`^(LANGUAGE|LC_[A-Z]+)$`)

func localeDefault(c *call, a localeDefaultArgs) (starlark.Value, error) {
	if err := checkLocale("lang", a.Lang); err != nil {
		return nil, fmt.Errorf("locale.default: %w", err)
	}
	for k, v := range a.Variables {
		if !localeVariable().MatchString(k) || k == "LC_ALL" {
			return nil, fmt.Errorf("locale.default: variables: %q is none of LANGUAGE, LC_TIME, LC_MESSAGES, ...; LC_ALL is no default, as it beats all others", k)
		}
		for part := range strings.SplitSeq(v, ":") {
			if err := checkLocale(k, part); err != nil && (k == "LANGUAGE" || v != "") {
				return nil, fmt.Errorf("locale.default: variables: %w", err)
			}
			if k != "LANGUAGE" && part != v {
				return nil, fmt.Errorf("locale.default: variables: %s: %q: only LANGUAGE takes several", k, v)
			}
		}
	}
	return c.converge(&placedLines{linesFile{"locale:default", a.want}, []transport.Path{localeVariables, localeConf}})
}

// want is the file of login programs: Debian's, else that of systemd.
func (a localeDefaultArgs) want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	p := localeVariables
	for _, path := range []transport.Path{localeVariables, localeVariables.Dir()} {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: path, Follow: true})
		if err != nil {
			return nil, err
		}
		if fi.Type != transport.Absent {
			break
		}
		if path == localeVariables.Dir() {
			p = localeConf
		}
	}
	o, err := changedLines(ctx, h, p, converge.File{Mode: "0644", Follow: true}, func(l *lines) error {
		setVariable(l, "LANG", a.Lang)
		for _, k := range sortedKeys(a.Variables) {
			setVariable(l, k, a.Variables[k])
		}
		return nil
	})
	return []converge.Object{o}, err
}

// setVariable makes NAME=value stand once; "" takes it away.
func setVariable(l *lines, name, value string) {
	at := -1
	for i := len(l.text) - 1; i >= 0; i-- {
		k, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(l.text[i]), "export "), "=")
		if !ok || k != name {
			continue
		}
		if at >= 0 || value == "" {
			l.remove(i, i+1)
			at--
			continue
		}
		at = i
		if l.text[i] != name+"="+value && l.text[i] != name+`="`+value+`"` {
			l.set(i, name+"="+value)
		}
	}
	if at < 0 && value != "" {
		l.insert(len(l.text), name+"="+value)
	}
}
