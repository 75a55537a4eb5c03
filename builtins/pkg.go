package builtins

import (
	"context"
	"fmt"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/transport"
)

func pkgNatives() starlark.StringDict {
	return merge(
		native("pkg.install", pkgInstall),
		native("pkg.latest", pkgLatest),
		native("pkg.absent", pkgAbsent),
	)
}

// packageManager is what the family pkg needs of a family of operating systems.
type packageManager interface {
	install(c *call, a pkgArgs) (starlark.Value, error)
	absent(c *call, a pkgAbsentArgs) (starlark.Value, error)
}

// packageManagers has the ones that are known, by the host's family.
func packageManagers() map[string]packageManager {
	return map[string]packageManager{"debian": debian{}}
}

// instead says what to do on a host whose packages fabgo does not manage.
var instead = map[string]string{
	"redhat": `run(["dnf", "install", "-y", "NAME"], unless = ["rpm", "-q", "NAME"])`,
	"suse":   `run(["zypper", "--non-interactive", "install", "NAME"], unless = ["rpm", "-q", "NAME"])`,
	"alpine": `run(["apk", "add", "NAME"], unless = ["apk", "info", "-e", "NAME"])`,
	"arch":   `run(["pacman", "-S", "--noconfirm", "NAME"], unless = ["pacman", "-Q", "NAME"])`,
}

// packageManager is that of the host.
func (c *call) packageManager() (packageManager, error) {
	os, err := c.fact("os", probeOS)
	if err != nil {
		return nil, err
	}
	v, err := os.(starlark.HasAttrs).Attr("family")
	if err != nil {
		return nil, err
	}
	family, _ := starlark.AsString(v)
	if m, ok := packageManagers()[family]; ok {
		return m, nil
	}
	hint := "install packages with run(), guarded by unless"
	if s, ok := instead[family]; ok {
		hint = "use " + s
	}
	return nil, c.Session.Observe(c.step, "", func(context.Context, transport.Host) error {
		return &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("%s: packages of the family %q are not managed by fabgo yet, only those of Debian and its relatives", c.name, family), Hint: hint}
	})
}

// spec is a package as it is asked for: its name, maybe with :arch, and the version that it is pinned to, maybe a pattern.
type spec struct{ name, version string }

var packageName = whenUsed(`^[a-z0-9A-Z][a-zA-Z0-9+.~_-]*(:[a-z0-9-]+)?$`)

func specOf(s string) (spec, error) {
	name, version, pinned := strings.Cut(s, "=")
	switch {
	case strings.Contains(name, "/"):
		return spec{}, fmt.Errorf("names: %q: a release is asked for with release = \"...\", a file is installed with apt.deb", s)
	case strings.HasSuffix(name, "-") || strings.HasSuffix(name, "+") && !strings.HasSuffix(name, "++"):
		return spec{}, fmt.Errorf("names: %q ends like a command to apt: pkg.absent removes packages", s)
	case !packageName().MatchString(name):
		return spec{}, fmt.Errorf("names: %q is no name of a package", s)
	case pinned && (version == "" || strings.ContainsFunc(version, func(r rune) bool { return !strings.ContainsRune(".+-:~*?", r) && !alphanumeric(r) })):
		return spec{}, fmt.Errorf("names: %q: %q is no version: want one such as \"nginx=1.22.1-9\" or \"nginx=1.22.*\"", s, version)
	}
	return spec{name, version}, nil
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// String is the package as apt's command line has it.
func (s spec) String() string {
	if s.version == "" {
		return s.name
	}
	return s.name + "=" + s.version
}

// fits reports whether a version is the one that is asked for.
func (s spec) fits(version transport.Text) bool {
	ok, err := path.Match(s.version, string(version))
	return s.version == "" || err == nil && ok
}

func specsOf(names []string, versions bool) ([]spec, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("names: name at least one package")
	}
	var out []spec
	seen := map[string]spec{}
	for _, n := range names {
		s, err := specOf(n)
		if err != nil {
			return nil, err
		}
		if s.version != "" && !versions {
			return nil, fmt.Errorf("names: %q: a version has no meaning here", n)
		}
		before, ok := seen[s.name]
		switch {
		case ok && before != s:
			return nil, fmt.Errorf("names: %s is asked for twice, as %q and as %q", s.name, before, s)
		case !ok:
			out = append(out, s)
		}
		seen[s.name] = s
	}
	return out, nil
}

func specNames(specs []spec) []transport.Text {
	out := make([]transport.Text, len(specs))
	for i, s := range specs {
		out[i] = transport.Text(s.name)
	}
	return out
}

// packagesName is a resource's name: the packages, of many the first ones.
func packagesName(specs []spec) string {
	var names []string
	for i, s := range specs {
		if i == 3 && len(specs) > 4 {
			return "package:" + strings.Join(names, ",") + fmt.Sprintf(" and %d more", len(specs)-i)
		}
		names = append(names, s.name)
	}
	return "package:" + strings.Join(names, ",")
}

type pkgArgs struct {
	aptArgs
	Names  []string       `arg:"names"`
	Update starlark.Value `arg:"update"`

	specs  []spec
	latest bool
}

func pkgInstall(c *call, a pkgArgs) (starlark.Value, error) { return c.install(a, true) }

func pkgLatest(c *call, a pkgArgs) (starlark.Value, error) {
	a.latest = true
	return c.install(a, false)
}

func (c *call) install(a pkgArgs, versions bool) (starlark.Value, error) {
	var err error
	if a.specs, err = specsOf(a.Names, versions); err == nil {
		_, _, err = maxAge(a.Update)
		if err != nil {
			err = fmt.Errorf("update: %w", err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if _, err := c.newApt(a.aptArgs); err != nil { // its checks, before the host is asked for anything
		return nil, err
	}
	m, err := c.packageManager()
	if err != nil {
		return nil, err
	}
	return m.install(c, a)
}

type pkgAbsentArgs struct {
	aptArgs
	Names      []string `arg:"names"`
	Purge      bool     `arg:"purge"`
	Autoremove bool     `arg:"autoremove"`

	specs []spec
}

func pkgAbsent(c *call, a pkgAbsentArgs) (starlark.Value, error) {
	var err error
	if a.specs, err = specsOf(a.Names, false); err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	m, err := c.packageManager()
	if err != nil {
		return nil, err
	}
	return m.absent(c, a)
}
