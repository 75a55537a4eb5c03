package template

import (
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// listFilters work on lists, and on what can be iterated; a dict counts as the list of its keys.
func listFilters() map[string]filterFunc {
	return map[string]filterFunc{
		"length count()":               filterLength,
		"first()":                      onItems(filterFirst),
		"last()":                       onItems(filterLast),
		"list()":                       onItems(filterList),
		"reverse()":                    filterReverse,
		"join(separator?, attribute?)": filterJoin,
		"sort(reverse?, case_sensitive?, attribute?)": filterSort,
		"unique(case_sensitive?, attribute?)":         filterUnique,
		"min(case_sensitive?, attribute?)":            extreme(false),
		"max(case_sensitive?, attribute?)":            extreme(true),
		"sum(attribute?, start?)":                     filterSum,
		"batch(linecount, fill_with?)":                filterBatch,
		"slice(slices, fill_with?)":                   filterSlice,
		"zip(*lists)":                                 filterZip,
		"flatten(levels?)":                            filterFlatten,
		"union(other)":                                setOp(func(inA, inB bool) bool { return inA || inB }),
		"intersect(other)":                            setOp(func(inA, inB bool) bool { return inA && inB }),
		"difference(other)":                           setOp(func(inA, inB bool) bool { return inA && !inB }),
		"symmetric_difference(other)":                 setOp(func(inA, inB bool) bool { return inA != inB }),
	}
}

// chars is like items and takes a text as the list of its characters.
func (r *run) chars(v starlark.Value) ([]starlark.Value, error) {
	s, ok := v.(starlark.String)
	if !ok {
		return r.items(v)
	}
	if err := r.charge(len(s)); err != nil {
		return nil, err
	}
	var list []starlark.Value
	for rest := string(s); rest != ""; {
		_, n := utf8.DecodeRuneInString(rest)
		list = append(list, starlark.String(rest[:n]))
		rest = rest[n:]
	}
	return list, nil
}

func onItems(f func(list []starlark.Value) (starlark.Value, error)) filterFunc {
	return func(r *run, v starlark.Value, a *args) (starlark.Value, error) {
		list, err := r.chars(v)
		if err != nil {
			return nil, err
		}
		return f(list)
	}
}

func filterLength(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	if s, ok := v.(starlark.String); ok {
		return starlark.MakeInt(utf8.RuneCountInString(string(s))), r.charge(len(s) / 64)
	}
	if n := starlark.Len(v); n >= 0 {
		return starlark.MakeInt(n), nil
	}
	return nil, errorf("%s has no length", an(v))
}

func filterFirst(list []starlark.Value) (starlark.Value, error) {
	if len(list) == 0 {
		return nil, missingf("the list is empty")
	}
	return list[0], nil
}

func filterLast(list []starlark.Value) (starlark.Value, error) {
	if len(list) == 0 {
		return nil, missingf("the list is empty")
	}
	return list[len(list)-1], nil
}

func filterList(list []starlark.Value) (starlark.Value, error) {
	return starlark.NewList(append([]starlark.Value(nil), list...)), nil
}

func filterReverse(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.chars(v)
	if err != nil {
		return nil, err
	}
	back := make([]starlark.Value, len(list))
	var text strings.Builder
	for i, x := range list {
		back[len(list)-1-i] = x
	}
	if _, ok := v.(starlark.String); !ok {
		return starlark.NewList(back), nil
	}
	for _, x := range back {
		text.WriteString(string(x.(starlark.String)))
	}
	return starlark.String(text.String()), nil
}

// follow is the attribute of v that path names: "a.b.0", or a number.
func (r *run) follow(v starlark.Value, path starlark.Value) (starlark.Value, error) {
	if i, ok := path.(starlark.Int); ok {
		return r.index(v, i)
	}
	s, ok := path.(starlark.String)
	if !ok {
		return nil, errorf("attribute wants a name or a number, got %s", an(path))
	}
	var err error
	for _, name := range strings.Split(string(s), ".") {
		if n, e := strconv.Atoi(name); e == nil {
			v, err = r.index(v, starlark.MakeInt(n))
		} else {
			v, err = r.attr(v, name)
		}
		if err != nil {
			return nil, err
		}
	}
	return v, nil
}

// keys are what a list is sorted or told apart by: the items or an attribute of theirs, text without regard to case
// unless asked.
func (r *run) keys(list []starlark.Value, attribute starlark.Value, caseSensitive bool) ([]starlark.Value, error) {
	keys := make([]starlark.Value, len(list))
	for i, x := range list {
		if attribute != nil && attribute != starlark.None {
			var err error
			if x, err = r.follow(x, attribute); err != nil {
				return nil, itemError(i, err)
			}
		}
		if s, ok := x.(starlark.String); ok && !caseSensitive {
			if err := r.charge(len(s) / 64); err != nil {
				return nil, err
			}
			x = starlark.String(strings.ToLower(string(s)))
		}
		keys[i] = x
	}
	return keys, r.charge(len(list))
}

func filterJoin(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.items(v)
	if err != nil {
		return nil, err
	}
	sep, err := a.str(r, "separator", "")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, x := range list {
		if path := a.get("attribute"); path != nil {
			if x, err = r.follow(x, path); err != nil {
				return nil, itemError(i, err)
			}
		}
		s, err := r.plain(x)
		if err != nil {
			return nil, itemError(i, err)
		}
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s)
		if err := r.charge((len(s)+len(sep))/64 + 1); err != nil {
			return nil, err
		}
		if b.Len() > maxText {
			return nil, r.grow(float64(b.Len()))
		}
	}
	return starlark.String(b.String()), nil
}

// order returns the indices of keys in ascending order, equal ones as they stand.
func (r *run) order(keys []starlark.Value, reverse bool) ([]int, error) {
	idx := make([]int, len(keys))
	for i := range idx {
		idx[i] = i
	}
	var failed error
	sort.SliceStable(idx, func(i, j int) bool {
		if failed != nil {
			return false
		}
		x, y := keys[idx[i]], keys[idx[j]]
		if reverse {
			x, y = y, x
		}
		ok, err := r.less(x, y)
		failed = err
		return ok
	})
	return idx, failed
}

func filterSort(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.chars(v)
	if err != nil {
		return nil, err
	}
	keys, err := r.keys(list, a.get("attribute"), a.bool("case_sensitive", false))
	if err != nil {
		return nil, err
	}
	idx, err := r.order(keys, a.bool("reverse", false))
	if err != nil {
		return nil, err
	}
	sorted := make([]starlark.Value, len(list))
	for i, j := range idx {
		sorted[i] = list[j]
	}
	return starlark.NewList(sorted), nil
}

func extreme(largest bool) filterFunc {
	return func(r *run, v starlark.Value, a *args) (starlark.Value, error) {
		list, err := r.chars(v)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, missingf("the list is empty")
		}
		keys, err := r.keys(list, a.get("attribute"), a.bool("case_sensitive", false))
		if err != nil {
			return nil, err
		}
		best := 0
		for i := 1; i < len(keys); i++ {
			x, y := keys[i], keys[best]
			if largest {
				x, y = y, x
			}
			ok, err := r.less(x, y)
			if err != nil {
				return nil, err
			}
			if ok {
				best = i
			}
		}
		return list[best], nil
	}
}

func filterSum(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.items(v)
	if err != nil {
		return nil, err
	}
	var total starlark.Value = starlark.MakeInt(0)
	if s := a.get("start"); s != nil {
		total = s
	}
	for i, x := range list {
		if path := a.get("attribute"); path != nil && path != starlark.None {
			if x, err = r.follow(x, path); err != nil {
				return nil, itemError(i, err)
			}
		}
		if total, err = r.binary(syntax.PLUS, total, x); err != nil {
			return nil, itemError(i, err)
		}
	}
	return total, nil
}

func filterBatch(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.items(v)
	if err != nil {
		return nil, err
	}
	n, err := a.int("linecount", 0)
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, errorf("linecount is at least 1, got %d", n)
	}
	var out []starlark.Value
	for len(list) > 0 {
		row := append([]starlark.Value(nil), list[:min(n, len(list))]...)
		list = list[len(row):]
		if fill := a.get("fill_with"); fill != nil && fill != starlark.None {
			for len(row) < n {
				row = append(row, fill)
			}
		}
		out = append(out, starlark.NewList(row))
	}
	return starlark.NewList(out), r.charge(len(out) + n)
}

func filterSlice(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	list, err := r.items(v)
	if err != nil {
		return nil, err
	}
	n, err := a.int("slices", 0)
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, errorf("slices is at least 1, got %d", n)
	}
	each, extra := len(list)/n, len(list)%n
	var out []starlark.Value
	for i := range n {
		size := each
		if i < extra {
			size++
		}
		row := append([]starlark.Value(nil), list[:size]...)
		list = list[size:]
		if fill := a.get("fill_with"); fill != nil && fill != starlark.None && extra > 0 && i >= extra {
			row = append(row, fill)
		}
		out = append(out, starlark.NewList(row))
	}
	return starlark.NewList(out), r.charge(n)
}

func filterZip(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	n := math.MaxInt
	var cols [][]starlark.Value
	for _, x := range append([]starlark.Value{v}, a.rest...) {
		col, err := r.items(x)
		if err != nil {
			return nil, err
		}
		cols = append(cols, col)
		n = min(n, len(col))
	}
	rows := make([]starlark.Value, n)
	for i := range rows {
		row := make(starlark.Tuple, len(cols))
		for j := range cols {
			row[j] = cols[j][i]
		}
		rows[i] = row
	}
	return starlark.NewList(rows), nil
}

func filterFlatten(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	levels, err := a.int("levels", maxDepth)
	if err != nil {
		return nil, err
	}
	var out []starlark.Value
	var walk func(v starlark.Value, depth int) error
	walk = func(v starlark.Value, depth int) error {
		list, err := r.items(v)
		if err != nil {
			return err
		}
		if depth > maxDepth+1 {
			return errorf("this list is nested too deeply: more than %d levels", maxDepth)
		}
		for _, x := range list {
			switch x.(type) {
			case *starlark.List, starlark.Tuple:
				if depth < levels {
					if err := walk(x, depth+1); err != nil {
						return err
					}
					continue
				}
			case starlark.NoneType:
				continue
			}
			out = append(out, x)
		}
		return r.charge(1)
	}
	if err := walk(v, 0); err != nil {
		return nil, err
	}
	return starlark.NewList(out), nil
}
