package builtins

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// debian manages packages with apt.
type debian struct{}

// youngIndex is the age up to which an index that lacks a name is not fetched again on its account.
const youngIndex = time.Hour

func (debian) install(c *call, a pkgArgs) (starlark.Value, error) {
	p, err := c.newApt(a.aptArgs)
	if err != nil {
		return nil, err
	}
	age, refresh, _ := maxAge(a.Update)
	r := &installResource{apt: p, specs: a.specs, latest: a.latest, refetch: refresh}
	stale, why, err := r.survey(age, refresh)
	if err != nil {
		return nil, err
	}
	if stale {
		if _, err := p.freshIndex(age, why); err != nil {
			return nil, err
		}
		r.rows = nil
	}
	return c.converge(r)
}

// installResource are packages that are to be installed, latest: in the newest version.
type installResource struct {
	*apt
	specs   []spec
	latest  bool
	refetch bool // a download that fails since the index is old may fetch the index again

	rows    map[transport.Text]packageRow // as survey found them; nil when they may have changed since
	stands  map[string]string             // for a name that is no package's, the installed package that provides it
	words   []string                      // what apt-get is called with
	doubt   *converge.Cause               // why it is not known what apt will choose
	guessed map[string]bool               // names whose state is not known, on account of doubt
}

func (r *installResource) Name() string { return packagesName(r.specs) }

// survey looks, in a step that no output shows, whether there is something to do for which the index is too old.
func (r *installResource) survey(age time.Duration, refresh bool) (stale bool, why string, err error) {
	st := converge.Step{Builtin: r.name, Pos: r.step.Pos}
	err = r.Session.Observe(st, r.Name(), func(ctx context.Context, h transport.Host) error {
		todo, err := r.todo(ctx, h)
		if err != nil || !refresh || len(todo) == 0 && !r.latest {
			return err
		}
		x, err := r.aptIndex(ctx, h)
		if err != nil || x.pending != nil {
			return err
		}
		if !x.fresh(age) {
			stale = true
			return nil
		}
		if x.fresh(youngIndex) || len(todo) == 0 {
			return nil
		}
		s, err := r.simulate(ctx, h, append([]string{"install"}, specWords(todo)...)...)
		if err == nil && s.out.Code != 0 && len(s.unknown) > 0 {
			stale, why = true, fmt.Sprintf("%s, without %s", x, strings.Join(s.unknown, ", "))
		}
		return err
	})
	return stale, why, err
}

func specWords(specs []spec) []string {
	var out []string
	for _, s := range specs {
		out = append(out, s.String())
	}
	return out
}

// todo are the packages that are not installed as they are asked for.
func (r *installResource) todo(ctx context.Context, h transport.Host) ([]spec, error) {
	if r.rows == nil {
		rows, err := packageRows(ctx, h, specNames(r.specs))
		if err != nil {
			return nil, err
		}
		r.rows = rows
	}
	var todo, missing []spec
	for _, s := range r.specs {
		row := r.rows[transport.Text(s.name)]
		if row.installed() && s.fits(row.Fields["version"]) {
			continue
		}
		todo = append(todo, s)
		if !row.installed() && row.cause == nil && s.version == "" {
			missing = append(missing, s)
		}
	}
	var err error
	if r.stands, err = provided(ctx, h, missing); err != nil {
		return nil, err
	}
	left := todo[:0]
	for _, s := range todo {
		if r.stands[s.name] == "" {
			left = append(left, s)
		}
	}
	return left, nil
}

// provided finds the installed packages that provide names for which there is no package.
func provided(ctx context.Context, h transport.Host, specs []spec) (map[string]string, error) {
	if len(specs) == 0 {
		return map[string]string{}, nil
	}
	script := `dpkg-query -W -f '${db:Status-Status} ${binary:Package} ${Provides}\n' | grep -F "$@"; exit 0`
	argv := []string{"/bin/sh", "-c", script, "sh"}
	for _, s := range specs {
		argv = append(argv, "-e", s.name)
	}
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(argv...)})
	if err != nil {
		return nil, err
	}
	stands := map[string]string{}
	for line := range strings.Lines(string(out.Stdout)) {
		status, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, field, _ := strings.Cut(rest, " ")
		for _, s := range specs {
			if status == "installed" && stands[s.name] == "" && provides(field, s.name) {
				stands[s.name] = name
			}
		}
	}
	return stands, nil
}

func (r *installResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	todo, err := r.todo(ctx, h)
	if err != nil {
		return nil, err
	}
	r.words = append([]string{"install"}, specWords(todo)...)
	var s simulation
	if ask := r.words; len(todo) > 0 || r.latest {
		if r.latest {
			ask = append([]string{"install"}, specWords(r.specs)...)
			r.words = ask
		}
		if s, err = r.simulate(ctx, h, ask...); err != nil {
			return nil, err
		}
		if err := r.believe(ctx, h, &s); err != nil {
			return nil, err
		}
	}
	if err := r.choose(ctx, h, todo, &s); err != nil {
		return nil, err
	}
	var want []converge.Object
	named := map[string]bool{}
	for _, sp := range r.specs {
		o := converge.Object{Key: packageKey(sp.name), As: "installed", Fields: map[string]transport.Text{"status": "installed"}}
		name := sp.name
		if c := r.stands[name]; c != "" {
			name = c
		}
		o.Key = packageKey(name)
		if p := s.find(name); p != nil && r.doubt == nil {
			o = p.wanted()
			if strings.Contains(name, ":") {
				o.Key = packageKey(name) // as it was asked for
			}
			named[p.name] = true
		} else if sp.version != "" {
			version := r.rows[transport.Text(sp.name)].Fields["version"]
			if !strings.ContainsAny(sp.version, "*?") {
				version = transport.Text(sp.version)
			}
			o.Fields["version"], o.As = version, "installed "+string(version)
		}
		want = append(want, o)
	}
	if r.doubt != nil {
		r.guessed = map[string]bool{}
		for i, sp := range r.specs {
			if row := r.rows[transport.Text(sp.name)]; r.latest || !row.installed() || !sp.fits(row.Fields["version"]) {
				r.guessed[want[i].Key.Name] = r.stands[sp.name] == "" || r.latest
			}
		}
		return want, nil
	}
	for _, o := range s.wanted() {
		if !named[o.Key.Name] {
			want = append(want, o)
		}
	}
	return want, nil
}

// choose finds, for names that are no package's, the package that apt takes in their stead.
func (r *installResource) choose(ctx context.Context, h transport.Host, todo []spec, s *simulation) error {
	virtual := slices.DeleteFunc(slices.Clone(todo), func(sp spec) bool {
		return s.find(sp.name) != nil || r.rows[transport.Text(sp.name)].Fields != nil
	})
	if len(virtual) == 0 || len(s.install) == 0 || r.doubt != nil {
		return nil
	}
	script := `apt-cache show --no-all-versions "$@" | grep -E '^(Package|Provides):'; exit 0`
	argv := []string{"/bin/sh", "-c", script, "sh"}
	for _, p := range s.install {
		argv = append(argv, p.name)
	}
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(argv...)})
	if err != nil {
		return err
	}
	name := ""
	for line := range strings.Lines(string(out.Stdout)) {
		field, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if field == "Package" {
			name = value
			continue
		}
		for _, sp := range virtual {
			if r.stands[sp.name] == "" && provides(value, sp.name) {
				r.stands[sp.name] = name
			}
		}
	}
	return nil
}

// provides reports whether a field Provides has a name.
func provides(field, name string) bool {
	for p := range strings.SplitSeq(field, ",") {
		if p, _, _ = strings.Cut(strings.TrimSpace(p), " "); p == name {
			return true
		}
	}
	return false
}

// believe judges a simulation: it stands, or it fails the step, or, in a plan, an earlier step keeps it from being known.
func (r *installResource) believe(ctx context.Context, h transport.Host, s *simulation) error {
	x := aptIndex{}
	if r.apt.call.apt.refreshed != nil {
		var err error
		if x, err = r.aptIndex(ctx, h); err != nil {
			return err
		}
	}
	r.doubt = x.pending
	for _, sp := range r.specs {
		if row := r.rows[transport.Text(sp.name)]; row.cause != nil && r.doubt == nil {
			r.doubt = row.cause
		}
	}
	if r.doubt != nil {
		return nil
	}
	return s.failure(r.apt)
}

// Probe finds the packages; those of whose coming a plan cannot be sure are unknown.
func (r *installResource) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	have, err := probePackages(ctx, h, want, true)
	if err != nil {
		return nil, err
	}
	for i, w := range want {
		if r.guessed[w.Key.Name] {
			have[i] = converge.Object{Key: w.Key, Cause: r.doubt}
		}
	}
	return have, nil
}

func (r *installResource) Opaque() converge.Scope {
	return converge.Scope{Packages: true, Listed: r.doubt == nil}
}

func (r *installResource) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	_, err := r.change(ctx, h, r.words...)
	if err == nil || !r.refetch || !gone(err) {
		return err
	}
	// the mirror has newer packages than the index: fetch it and try once more; versions are as they come then
	if err := r.Session.Note(r.name+": the mirror has moved on since the index was fetched; fetching it again", r.step.Pos); err != nil {
		return err
	}
	if err := r.refresh(ctx, h); err != nil {
		return err
	}
	for _, p := range delta {
		delete(p.Want.Fields, "version")
	}
	_, err = r.change(ctx, h, r.words...)
	return err
}

// gone reports whether a download failed since the mirror no longer has a file.
func gone(err error) bool {
	ce, ok := asCommandError(err)
	return ok && strings.Contains(string(ce.Output.Stderr), "404  Not Found")
}
