package converge

import (
	"context"

	"fabgo/transport"
)

// A step whose wanted state is not known before the run leaves behind what is not known either, also where something stands now. When
// the step says which files it reaches, a veil lies on those places and on all below them, and only there: to darken the whole host
// would make every later step unknown, on account of a step that has nothing to do with it.
//
// A veil follows the symlinks that are there or predicted, not those that an opaque step may yet lay: where those lead is dark already,
// as long as opaque steps lay them within their scope.

// Veil says that a step leaves what is not known at the place of a wanted file, and below it.
func (o *Overlay) Veil(ctx context.Context, obj Object, by Cause) error {
	o.last = &by
	p, _, err := o.resolve(ctx, transport.Path(obj.Key.Name), obj.File != nil && obj.File.Follow)
	if err != nil && CauseOf(err) == nil {
		return err
	}
	n := o.top.grow(p)
	n.pred, n.kids, n.veil = nil, nil, &by
	return nil
}

func veiled(p transport.Path, by *Cause) error {
	return &Unknown{What: FileKey(p).String(), Cause: *by}
}

// veiledBelow is why an entry that a listing of n would hold is not known, or nil.
func (n *place) veiledBelow(recursive bool) *Cause {
	if n.veil != nil {
		return n.veil
	}
	for _, kid := range n.kids {
		if kid.veil != nil && (kid.pred == nil || recursive) {
			return kid.veil
		}
		if recursive {
			if c := kid.veiledBelow(true); c != nil {
				return c
			}
		}
	}
	return nil
}
