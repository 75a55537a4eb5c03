package template

import (
	"go.starlark.net/starlark"
)

// dictFilters work on dicts. The order of a dict is that of its insertions.
func dictFilters() map[string]filterFunc {
	return map[string]filterFunc{
		"items()": onDict(func(r *run, d *starlark.Dict, a *args) (starlark.Value, error) { return pairs(d.Items()), nil }),
		"dictsort(case_sensitive?, by?, reverse?)": onDict(filterDictSort),
		"dict2items(key_name?, value_name?)":       onDict(filterDict2Items),
		"items2dict(key_name?, value_name?)":       filterItems2Dict,
		"combine(*others, recursive?)":             onDict(filterCombine),
		"extract(container)":                       filterExtract,
	}
}

func onDict(f func(r *run, d *starlark.Dict, a *args) (starlark.Value, error)) filterFunc {
	return func(r *run, v starlark.Value, a *args) (starlark.Value, error) {
		d, ok := v.(*starlark.Dict)
		if !ok {
			return nil, errorf("want a dict, got %s", an(v))
		}
		if err := r.charge(d.Len()); err != nil {
			return nil, err
		}
		return f(r, d, a)
	}
}

func pairs(items []starlark.Tuple) starlark.Value {
	list := make([]starlark.Value, len(items))
	for i, kv := range items {
		list[i] = kv
	}
	return starlark.NewList(list)
}

func filterDictSort(r *run, d *starlark.Dict, a *args) (starlark.Value, error) {
	by, err := a.str(r, "by", "key")
	if err != nil {
		return nil, err
	}
	part, ok := map[string]int{"key": 0, "value": 1}[by]
	if !ok {
		return nil, errorf("by is key or value, got %q", by)
	}
	items := d.Items()
	list := make([]starlark.Value, len(items))
	for i, kv := range items {
		list[i] = kv[part]
	}
	keys, err := r.keys(list, nil, a.bool("case_sensitive", false))
	if err != nil {
		return nil, err
	}
	order, err := r.order(keys, a.bool("reverse", false))
	if err != nil {
		return nil, err
	}
	sorted := make([]starlark.Tuple, len(items))
	for i, j := range order {
		sorted[i] = items[j]
	}
	return pairs(sorted), nil
}

func itemNames(r *run, a *args) (key, val string, err error) {
	if key, err = a.str(r, "key_name", "key"); err != nil {
		return "", "", err
	}
	val, err = a.str(r, "value_name", "value")
	return key, val, err
}

func filterDict2Items(r *run, d *starlark.Dict, a *args) (starlark.Value, error) {
	key, val, err := itemNames(r, a)
	if err != nil {
		return nil, err
	}
	var list []starlark.Value
	for _, kv := range d.Items() {
		item := starlark.NewDict(2)
		if err := item.SetKey(starlark.String(key), kv[0]); err != nil {
			return nil, err
		}
		if err := item.SetKey(starlark.String(val), kv[1]); err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return starlark.NewList(list), nil
}

func filterItems2Dict(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.items(v)
	if err != nil {
		return nil, err
	}
	key, val, err := itemNames(r, a)
	if err != nil {
		return nil, err
	}
	d := starlark.NewDict(len(list))
	for i, x := range list {
		k, err := r.index(x, starlark.String(key))
		if err != nil {
			return nil, itemError(i, err)
		}
		y, err := r.index(x, starlark.String(val))
		if err != nil {
			return nil, itemError(i, err)
		}
		if err := r.setKey(d, k, y); err != nil {
			return nil, itemError(i, err)
		}
	}
	return d, nil
}

func filterCombine(r *run, d *starlark.Dict, a *args) (starlark.Value, error) {
	for i, x := range a.rest {
		other, ok := x.(*starlark.Dict)
		if !ok {
			return nil, errorf("argument %d: want a dict, got %s", i+1, an(x))
		}
		var err error
		if d, err = r.merge(d, other, a.bool("recursive", false), 0); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// merge gives a new dict: x with the entries of y in the place of its own.
func (r *run) merge(x, y *starlark.Dict, deep bool, depth int) (*starlark.Dict, error) {
	if depth > maxDepth {
		return nil, errorf("these dicts are nested too deeply")
	}
	d := starlark.NewDict(x.Len() + y.Len())
	for _, src := range []*starlark.Dict{x, y} {
		if err := r.charge(src.Len()); err != nil {
			return nil, err
		}
		for _, kv := range src.Items() {
			val := kv[1]
			if old, found, _ := d.Get(kv[0]); found && deep {
				a, ok := old.(*starlark.Dict)
				b, ok2 := val.(*starlark.Dict)
				if ok && ok2 {
					m, err := r.merge(a, b, true, depth+1)
					if err != nil {
						return nil, err
					}
					val = m
				}
			}
			if err := r.setKey(d, kv[0], val); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

func filterExtract(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	return r.index(a.get("container"), v)
}
