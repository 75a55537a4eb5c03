package builtins

import (
	"context"
	"fmt"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// simResource is whatever a command of apt-get's says that it would do: a command that has nothing to do once it is done.
type simResource struct {
	*apt
	what  string
	words []string
	after []string // run after a change: apt-get autoclean
}

func (r *simResource) Name() string { return r.what }

func (r *simResource) Opaque() converge.Scope { return converge.Scope{Packages: true, Listed: true} }

func (r *simResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	if r.apt.call.apt.refreshed != nil {
		x, err := r.aptIndex(ctx, h)
		if err != nil {
			return nil, err
		}
		if x.pending != nil {
			return nil, &converge.Unknown{What: "what apt-get " + r.words[0] + " does", Cause: *x.pending}
		}
	}
	s, err := r.simulate(ctx, h, r.words...)
	if err != nil {
		return nil, err
	}
	return s.wanted(), s.failure(r.apt)
}

func (r *simResource) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	return probePackages(ctx, h, want, strings.Contains(strings.Join(r.words, " "), "purge"))
}

func (r *simResource) Apply(ctx context.Context, h transport.Host, _ []converge.Pair) error {
	if _, err := r.change(ctx, h, r.words...); err != nil || r.after == nil {
		return err
	}
	_, err := r.change(ctx, h, r.after...)
	return err
}

func aptUpgrade(c *call, a struct {
	aptArgs
	Dist       bool           `arg:"dist"`
	Autoremove bool           `arg:"autoremove"`
	Autoclean  bool           `arg:"autoclean"`
	Update     starlark.Value `arg:"update"`
}) (starlark.Value, error) {
	p, err := c.newApt(a.aptArgs)
	if err != nil {
		return nil, err
	}
	age, refresh, err := maxAge(a.Update)
	if err != nil {
		return nil, fmt.Errorf("apt.upgrade: update: %w", err)
	}
	if refresh {
		if _, err := p.freshIndex(age, ""); err != nil {
			return nil, err
		}
	}
	r := &simResource{apt: p, what: "apt:upgrade", words: []string{"upgrade", "--with-new-pkgs"}}
	if a.Dist {
		r.words = []string{"dist-upgrade"}
	}
	if a.Autoremove {
		r.words = append(r.words, "--auto-remove")
	}
	if a.Autoclean {
		r.after = []string{"autoclean"}
	}
	return c.converge(r)
}

func aptAutoremove(c *call, a struct {
	aptArgs
	Purge bool `arg:"purge"`
}) (starlark.Value, error) {
	p, err := c.newApt(a.aptArgs)
	if err != nil {
		return nil, err
	}
	r := &simResource{apt: p, what: "apt:autoremove", words: []string{"autoremove"}}
	if a.Purge {
		r.words = append(r.words, "--purge")
	}
	return c.converge(r)
}

// debResource is a package out of a file.
type debResource struct {
	*apt
	path  transport.Path
	words []string
}

func (r *debResource) Name() string { return "package:" + path.Base(string(r.path)) }

func (r *debResource) Opaque() converge.Scope {
	return converge.Scope{Packages: true, Listed: true}
}

func (r *debResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: r.path, Follow: true})
	if err != nil {
		return nil, err
	}
	if fi.Type != transport.Regular {
		return nil, &transport.Error{
			Kind: transport.NotFound, Path: r.path, Message: fmt.Sprintf("install %s: there is no such file on the host", r.path),
			Hint: "file.put(..., src = ...) brings it there",
		}
	}
	argv := []string{"dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", string(r.path)}
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(argv...)})
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(out.Stdout))
	if out.Code != 0 || len(f) != 3 {
		return nil, &converge.CommandError{Argv: argv, Output: out, Hint: "is it a Debian package?"}
	}
	name := f[0]
	rows, err := packageRows(ctx, h, transport.Texts(name, name+":"+f[2]))
	if err != nil {
		return nil, err
	}
	key := name
	if f[2] != "all" && rows[transport.Text(name)].Fields != nil && rows[transport.Text(name)].Fields["arch"] != transport.Text(f[2]) {
		key = name + ":" + f[2] // another architecture's of the same name is there
	}
	self := simPackage{name: key, now: f[1]}.wanted()
	if row := rows[transport.Text(key)]; row.installed() && row.Fields["version"] == transport.Text(f[1]) {
		return []converge.Object{self}, nil
	}
	r.words = []string{"install", string(r.path)}
	s, err := r.simulate(ctx, h, r.words...)
	if err != nil {
		return nil, err
	}
	if err := s.failure(r.apt); err != nil {
		return nil, err
	}
	if p := s.find(name + ":" + f[2]); p != nil {
		self = p.wanted()
	}
	want := []converge.Object{self}
	for _, o := range s.wanted() {
		if !named(want, o.Key) {
			want = append(want, o)
		}
	}
	return want, nil
}

func (r *debResource) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	return probePackages(ctx, h, want, true)
}

func (r *debResource) Apply(ctx context.Context, h transport.Host, _ []converge.Pair) error {
	_, err := r.change(ctx, h, r.words...)
	return err
}

func aptDeb(c *call, a struct {
	aptArgs
	Path transport.Path `arg:"path"`
}) (starlark.Value, error) {
	p, err := c.newApt(a.aptArgs)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(string(a.Path), ".deb") {
		return nil, fmt.Errorf("apt.deb: path: %q does not end in .deb, which apt would take for the name of a package", a.Path)
	}
	return c.converge(&debResource{apt: p, path: a.Path})
}
