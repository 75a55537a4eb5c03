package template

import (
	"go.starlark.net/starlark"
)

// seen finds equal keys: by hash where a key can be hashed, else one by one.
type seen struct {
	r     *run
	dict  starlark.Dict
	other []starlark.Value
}

// add says whether the key was new.
func (s *seen) add(k starlark.Value) (bool, error) {
	had, err := s.has(k)
	if err != nil || had {
		return false, err
	}
	if s.r.setKey(&s.dict, k, starlark.None) != nil {
		s.other = append(s.other, k)
	}
	return true, nil
}

func (s *seen) has(k starlark.Value) (bool, error) {
	if err := s.r.measure(k); err != nil {
		return false, err
	}
	if _, err := k.Hash(); err == nil {
		_, found, err := s.dict.Get(k)
		return found, err
	}
	for _, x := range s.other {
		if same, err := s.r.equal(x, k); err != nil || same {
			return same, err
		}
	}
	return false, nil
}

func filterUnique(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.chars(v)
	if err != nil {
		return nil, err
	}
	keys, err := r.keys(list, a.get("attribute"), a.bool("case_sensitive", false))
	if err != nil {
		return nil, err
	}
	s := seen{r: r}
	var out []starlark.Value
	for i, k := range keys {
		fresh, err := s.add(k)
		if err != nil {
			return nil, err
		}
		if fresh {
			out = append(out, list[i])
		}
	}
	return starlark.NewList(out), nil
}

func setOp(keep func(inA, inB bool) bool) filterFunc {
	return func(r *run, v starlark.Value, a *args) (starlark.Value, error) {
		x, err := r.items(v)
		if err != nil {
			return nil, err
		}
		y, err := r.items(a.get("other"))
		if err != nil {
			return nil, err
		}
		inA, inB, out := seen{r: r}, seen{r: r}, seen{r: r}
		for _, k := range x {
			if _, err := inA.add(k); err != nil {
				return nil, err
			}
		}
		for _, k := range y {
			if _, err := inB.add(k); err != nil {
				return nil, err
			}
		}
		var list []starlark.Value
		for _, k := range append(append([]starlark.Value(nil), x...), y...) {
			a, err := inA.has(k)
			if err != nil {
				return nil, err
			}
			b, err := inB.has(k)
			if err != nil {
				return nil, err
			}
			if !keep(a, b) {
				continue
			}
			if fresh, err := out.add(k); err != nil {
				return nil, err
			} else if fresh {
				list = append(list, k)
			}
		}
		return starlark.NewList(list), nil
	}
}
