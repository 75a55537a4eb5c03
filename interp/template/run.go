package template

import (
	"context"
	"errors"
	"fmt"

	"go.starlark.net/starlark"
)

// The limits of a render. A step is a small, bounded piece of work: an expression, an item, some bytes.
const (
	defaultSteps = 10_000_000
	maxText      = 64 << 20 // bytes of the output, and of any string
	maxDepth     = 100      // levels of a value that is printed, compared or kept, and of calls
	maxIntBits   = 4096
)

// run is one render. It belongs to one goroutine.
type run struct {
	ctx    context.Context
	vars   starlark.StringDict
	encode func(filter, text string) (string, bool, error)
	frame  *frame
	out    []byte
	thread *starlark.Thread
	depth  int // of calls

	steps, limit, poll uint64
}

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

var errSteps = errors.New("too many steps")

// charge accounts for n steps of work and says whether to go on.
func (r *run) charge(n int) error {
	r.steps += uint64(max(n, 0))
	if r.steps > r.limit {
		return errorf("%w: this template needs more than %d; a loop is too large", errSteps, r.limit)
	}
	if r.steps >= r.poll {
		r.poll = r.steps + 1000
		if err := r.ctx.Err(); err != nil {
			return errorf("render stopped: %w", context.Cause(r.ctx))
		}
	}
	return nil
}

// grow accounts for a string of n bytes that is about to be built. n may be the result of a float computation so
// that products cannot overflow.
func (r *run) grow(n float64) error {
	if n > maxText {
		return errorf("this text is too large: more than %d MiB", maxText>>20)
	}
	return r.charge(int(n)/64 + 1)
}

func (r *run) write(s string) error {
	if len(r.out)+len(s) > maxText {
		return errorf("the output is too large: more than %d MiB", maxText>>20)
	}
	if err := r.charge(len(s) / 256); err != nil {
		return err
	}
	r.out = append(r.out, s...)
	return nil
}

// clear forgets what a block bound, before it runs again. The work counts: a block may have thousands of names.
func (r *run) clear(lo, hi int) {
	clear(r.frame.slots[lo:hi])
	r.steps += uint64(hi-lo) / 32
}

// items returns the elements of an iterable (the keys of a dict). It does not use the iterator of a list or dict,
// because that writes to the value, which may be shared with other renders.
func (r *run) items(v starlark.Value) ([]starlark.Value, error) {
	switch v := v.(type) {
	case starlark.Tuple:
		return v, r.charge(len(v))
	case *starlark.Dict:
		if err := r.charge(v.Len()); err != nil {
			return nil, err
		}
		return v.Keys(), nil
	case starlark.String:
		return nil, errorf("a string is not a list: use | list or .elems() for its characters, | split for its parts")
	case starlark.Indexable: // lists, ranges, and values of our host's own
		if _, ok := v.(starlark.Iterable); !ok {
			break
		}
		n := v.Len()
		if err := r.charge(n); err != nil {
			return nil, err
		}
		list := make([]starlark.Value, n)
		for i := range list {
			list[i] = v.Index(i)
		}
		return list, nil
	case starlark.Iterable:
		it := v.Iterate()
		defer it.Done()
		var list []starlark.Value
		var x starlark.Value
		for it.Next(&x) {
			if err := r.charge(1); err != nil {
				return nil, err
			}
			list = append(list, x)
		}
		if e, ok := it.(interface{ Err() error }); ok && e.Err() != nil {
			return nil, e.Err()
		}
		return list, nil
	}
	if v == starlark.None {
		return nil, errorf("None is not a list")
	}
	return nil, errorf("%s is not a list", an(v))
}

// measure walks a value and charges for each part, so that code of Starlark's that walks it afterwards, which can be
// neither counted nor stopped, is known to end.
func (r *run) measure(v starlark.Value) error { return r.measureAt(v, 0) }

func (r *run) measureAt(v starlark.Value, depth int) error {
	switch v.(type) {
	case starlark.String, starlark.Int, starlark.Bool, starlark.Float, starlark.NoneType:
		return r.charge(1)
	}
	if depth > maxDepth {
		return errorf("this value is nested too deeply: more than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case starlark.Tuple:
		for _, x := range v {
			if err := r.measureAt(x, depth+1); err != nil {
				return err
			}
		}
	case *starlark.List:
		for i := range v.Len() {
			if err := r.measureAt(v.Index(i), depth+1); err != nil {
				return err
			}
		}
	case *starlark.Dict:
		for _, kv := range v.Items() {
			if err := r.measureAt(kv, depth+1); err != nil {
				return err
			}
		}
	case *namespaceValue:
		for _, x := range v.vals {
			if err := r.measureAt(x, depth+1); err != nil {
				return err
			}
		}
	case starlark.Sequence:
		return r.charge(v.Len())
	}
	return r.charge(1)
}
