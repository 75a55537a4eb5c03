package builtins

import (
	"context"
	"fmt"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

type holdArgs struct {
	common
	Names []string `arg:"names"`
}

// aptMark makes the native of apt.hold and apt.unhold.
func aptMark(hold bool) func(c *call, a holdArgs) (starlark.Value, error) {
	return func(c *call, a holdArgs) (starlark.Value, error) {
		specs, err := specsOf(a.Names, false)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		return c.converge(&holdResource{specs: specs, hold: hold})
	}
}

// holdResource are packages that are kept, or no longer kept, at their version.
type holdResource struct {
	specs []spec
	hold  bool
}

func (r *holdResource) Name() string { return packagesName(r.specs) }

func (r *holdResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	rows, err := packageRows(ctx, h, specNames(r.specs))
	if err != nil {
		return nil, err
	}
	var want []converge.Object
	for _, s := range r.specs {
		row := rows[transport.Text(s.name)]
		o := converge.Object{Key: packageKey(s.name), Fields: map[string]transport.Text{"hold": "no"}}
		switch {
		case r.hold && row.Fields == nil && row.cause == nil:
			return nil, &transport.Error{
				Kind: transport.NotFound, Message: fmt.Sprintf("hold %s: it is not installed", s.name),
				Hint: fmt.Sprintf("install it before: pkg.install(%q); apt.pin keeps a package from being installed", s.name),
			}
		case r.hold:
			o.Fields["hold"] = "yes"
		case row.Fields["hold"] != "yes" && row.cause == nil:
			continue
		}
		want = append(want, o)
	}
	return want, nil
}

func (r *holdResource) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	argv := []string{"apt-mark", "unhold"}
	if r.hold {
		argv[1] = "hold"
	}
	for _, p := range delta {
		argv = append(argv, p.Want.Key.Name)
	}
	return change(ctx, h, "", nil, argv...)
}
