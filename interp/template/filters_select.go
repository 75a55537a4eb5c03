package template

import (
	"go.starlark.net/starlark"
)

// selectFilters apply another filter or a test to each item. What they apply is known at compile time.
func selectFilters() map[string]filterFunc {
	return map[string]filterFunc{
		"map(attribute?, default?)":                     filterMap,
		"select(test?, *args)":                          choose(true, false),
		"reject(test?, *args)":                          choose(false, false),
		"selectattr(attribute, test?, *args)":           choose(true, true),
		"rejectattr(attribute, test?, *args)":           choose(false, true),
		"groupby(attribute, default?, case_sensitive?)": filterGroupBy,
	}
}

func filterMap(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.chars(v)
	if err != nil {
		return nil, err
	}
	out := make([]starlark.Value, len(list))
	for i, x := range list {
		if a.inner != nil {
			x, err = a.apply(r, x)
		} else {
			x, err = r.followOr(x, a.get("attribute"), a.get("default"))
		}
		if err != nil {
			return nil, itemError(i, err)
		}
		out[i] = x
	}
	return starlark.NewList(out), nil
}

// itemError names the item. A missing value within a list is an error of the list: `default` does not hide it.
func itemError(i int, err error) error { return errorf("item %d: %s", i+1, err) }

// followOr is follow with a value for what is missing; nil for none.
func (r *run) followOr(v, path, dflt starlark.Value) (starlark.Value, error) {
	x, err := r.follow(v, path)
	if err != nil && dflt != nil && isMissing(err) {
		return dflt, nil
	}
	return x, err
}

func choose(want, attr bool) filterFunc {
	return func(r *run, v starlark.Value, a *args) (starlark.Value, error) {
		list, err := r.chars(v)
		if err != nil {
			return nil, err
		}
		var out []starlark.Value
		for i, x := range list {
			val, missing := x, error(nil)
			if attr {
				if val, missing = r.follow(x, a.get("attribute")); missing != nil && !isMissing(missing) {
					return nil, itemError(i, missing)
				}
			}
			ok, err := a.holds(r, val, missing)
			if err != nil {
				return nil, itemError(i, err)
			}
			if ok == want {
				out = append(out, x)
			}
		}
		return starlark.NewList(out), nil
	}
}

// filterGroupBy gives groups in the order of their keys; each can be taken apart as (grouper, list) and has these two
// attributes.
func filterGroupBy(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.items(v)
	if err != nil {
		return nil, err
	}
	vals := make([]starlark.Value, len(list))
	for i, x := range list {
		if vals[i], err = r.followOr(x, a.get("attribute"), a.get("default")); err != nil {
			return nil, itemError(i, err)
		}
	}
	keys, err := r.keys(vals, nil, a.bool("case_sensitive", false))
	if err != nil {
		return nil, err
	}
	order, err := r.order(keys, false)
	if err != nil {
		return nil, err
	}
	var groups []starlark.Value
	var members []starlark.Value
	for n, i := range order {
		members = append(members, list[i])
		last := n+1 == len(order)
		if !last {
			same, err := r.equal(keys[i], keys[order[n+1]])
			if err != nil {
				return nil, err
			}
			last = !same
		}
		if last {
			groups = append(groups, &groupValue{Tuple: starlark.Tuple{vals[order[n+1-len(members)]], starlark.NewList(members)}})
			members = nil
		}
	}
	return starlark.NewList(groups), nil
}

// groupValue is a pair with names for its parts.
type groupValue struct{ starlark.Tuple }

func (g *groupValue) Type() string        { return "group" }
func (g *groupValue) AttrNames() []string { return []string{"grouper", "list"} }

func (g *groupValue) Attr(name string) (starlark.Value, error) {
	switch name {
	case "grouper":
		return g.Tuple[0], nil
	case "list":
		return g.Tuple[1], nil
	}
	return nil, nil
}
