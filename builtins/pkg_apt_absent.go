package builtins

import (
	"context"
	"errors"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func asCommandError(err error) (*converge.CommandError, bool) {
	return errors.AsType[*converge.CommandError](err)
}

func (debian) absent(c *call, a pkgAbsentArgs) (starlark.Value, error) {
	p, err := c.newApt(a.aptArgs)
	if err != nil {
		return nil, err
	}
	verb := []string{"remove"}
	if a.Purge {
		verb = []string{"purge"}
	}
	if a.Autoremove {
		verb = append(verb, "--auto-remove")
	}
	return c.converge(&removeResource{apt: p, specs: a.specs, verb: verb, purge: a.Purge})
}

// removeResource are packages that are not to be there; what depends on them goes with them, and the plan says so.
type removeResource struct {
	*apt
	specs []spec
	verb  []string // of apt-get
	purge bool
	words []string // what apt-get is called with
}

func (r *removeResource) Name() string { return packagesName(r.specs) }

func (r *removeResource) Opaque() converge.Scope {
	return converge.Scope{Packages: true, Listed: true}
}

func (r *removeResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	var want []converge.Object
	for _, s := range r.specs {
		want = append(want, converge.Object{Key: packageKey(s.name), Absent: true})
	}
	have, err := r.Probe(ctx, h, want)
	if err != nil {
		return nil, err
	}
	var there []string
	for i, o := range have {
		if o.Fields != nil {
			there = append(there, r.specs[i].name)
		}
	}
	r.words = append(append([]string{}, r.verb...), there...)
	if len(there) == 0 {
		return want, nil
	}
	s, err := r.simulate(ctx, h, r.words...)
	if err != nil {
		return nil, err
	}
	if err := s.failure(r.apt); err != nil {
		if r.predicted(ctx, h, there) { // what is only predicted, apt does not know
			return want, nil
		}
		return nil, err
	}
	for _, o := range s.wanted() {
		if !named(want, o.Key) {
			want = append(want, o)
		}
	}
	return want, nil
}

// predicted reports whether some of the packages are not on the host itself: an earlier step of a plan would install them.
func (r *removeResource) predicted(ctx context.Context, h transport.Host, names []string) bool {
	argv := append([]string{"dpkg-query", "-W", "-f", "${Status}\n"}, names...)
	out, err := r.look(ctx, h, argv...)
	return err != nil || out.Code != 0
}

func named(want []converge.Object, k converge.Key) bool {
	for _, w := range want {
		if w.Key == k {
			return true
		}
	}
	return false
}

func (r *removeResource) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	return probePackages(ctx, h, want, r.purge)
}

func (r *removeResource) Apply(ctx context.Context, h transport.Host, _ []converge.Pair) error {
	_, err := r.change(ctx, h, r.words...)
	return err
}
