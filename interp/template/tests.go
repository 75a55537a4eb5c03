package template

import (
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// testTable is what stands behind `is`. Names before the bracket are aliases.
func testTable() map[string]*spec {
	cmp := func(op syntax.Token) testFunc {
		return func(r *run, v starlark.Value, a *args) (bool, error) {
			x, err := r.compare(op, v, a.get("other"))
			return x == starlark.True, err
		}
	}
	t := map[string]*spec{}
	for usage, fn := range map[string]testFunc{
		"defined()":                func(r *run, v starlark.Value, a *args) (bool, error) { return v != nil, nil },
		"undefined()":              func(r *run, v starlark.Value, a *args) (bool, error) { return v == nil, nil },
		"none()":                   is(func(v starlark.Value) bool { return v == starlark.None }),
		"string()":                 is(func(v starlark.Value) bool { _, ok := v.(starlark.String); return ok }),
		"integer()":                is(func(v starlark.Value) bool { _, ok := v.(starlark.Int); return ok }),
		"float()":                  is(func(v starlark.Value) bool { _, ok := v.(starlark.Float); return ok }),
		"number()":                 is(func(v starlark.Value) bool { _, ok := starlark.AsFloat(v); return ok }),
		"boolean()":                is(func(v starlark.Value) bool { _, ok := v.(starlark.Bool); return ok }),
		"true()":                   is(func(v starlark.Value) bool { return v == starlark.True }),
		"false()":                  is(func(v starlark.Value) bool { return v == starlark.False }),
		"truthy()":                 is(func(v starlark.Value) bool { return bool(v.Truth()) }),
		"falsy()":                  is(func(v starlark.Value) bool { return !bool(v.Truth()) }),
		"mapping()":                is(func(v starlark.Value) bool { _, ok := v.(starlark.Mapping); return ok }),
		"sequence()":               is(isSequence),
		"iterable()":               is(func(v starlark.Value) bool { _, ok := v.(starlark.Iterable); return ok }),
		"callable()":               is(func(v starlark.Value) bool { _, ok := v.(starlark.Callable); return ok }),
		"empty()":                  testEmpty,
		"even()":                   divides(2, true),
		"odd()":                    divides(2, false),
		"divisibleby(number)":      testDivisible,
		"eq equalto sameas(other)": cmp(syntax.EQL),
		"ne(other)":                cmp(syntax.NEQ),
		"lt lessthan(other)":       cmp(syntax.LT),
		"le(other)":                cmp(syntax.LE),
		"gt greaterthan(other)":    cmp(syntax.GT),
		"ge(other)":                cmp(syntax.GE),
		"in(container)":            func(r *run, v starlark.Value, a *args) (bool, error) { return r.in(v, a.get("container")) },
		"contains(item)":           func(r *run, v starlark.Value, a *args) (bool, error) { return r.in(a.get("item"), v) },
		"subset(other)":            func(r *run, v starlark.Value, a *args) (bool, error) { return r.subset(v, a.get("other")) },
		"superset(other)":          func(r *run, v starlark.Value, a *args) (bool, error) { return r.subset(a.get("other"), v) },
		"lower()":                  textTest(func(s string) bool { return strings.ToLower(s) == s && strings.ToUpper(s) != s }),
		"upper()":                  textTest(func(s string) bool { return strings.ToUpper(s) == s && strings.ToLower(s) != s }),
		"startswith(prefix)":       affix("prefix", strings.HasPrefix),
		"endswith(suffix)":         affix("suffix", strings.HasSuffix),
		"match(pattern, ignorecase?, multiline?)":  testRegex(true),
		"search(pattern, ignorecase?, multiline?)": testRegex(false),
		"regex(pattern, ignorecase?, multiline?)":  testRegex(false),
	} {
		names, params, _ := strings.Cut(usage, "(")
		for _, name := range strings.Split(names, " ") {
			s := newSpec(name + "(" + params)
			s.test = fn
			t[name] = s
		}
	}
	t["defined"].maybe, t["undefined"].maybe = true, true
	return t
}

func is(f func(starlark.Value) bool) testFunc {
	return func(r *run, v starlark.Value, a *args) (bool, error) { return f(v), r.charge(1) }
}

func isSequence(v starlark.Value) bool {
	switch v.(type) {
	case starlark.String, *starlark.Dict:
		return true // as in Jinja
	}
	_, ok := v.(starlark.Sequence)
	return ok
}

func testEmpty(r *run, v starlark.Value, a *args) (bool, error) {
	n := starlark.Len(v)
	if n < 0 {
		return false, errorf("%s has no length", an(v))
	}
	return n == 0, nil
}

func divides(by int, want bool) testFunc {
	return func(r *run, v starlark.Value, a *args) (bool, error) {
		ok, err := r.divisible(v, starlark.MakeInt(by))
		return ok == want, err
	}
}

func testDivisible(r *run, v starlark.Value, a *args) (bool, error) {
	return r.divisible(v, a.get("number"))
}

func (r *run) divisible(v, by starlark.Value) (bool, error) {
	if _, ok := v.(starlark.Int); !ok {
		return false, errorf("want a whole number, got %s", an(v))
	}
	rest, err := r.binary(syntax.PERCENT, v, by)
	if err != nil {
		return false, err
	}
	return !bool(rest.Truth()), nil
}

func (r *run) in(x, list starlark.Value) (bool, error) {
	v, err := r.binary(syntax.IN, x, list)
	return v == starlark.True, err
}

func (r *run) subset(x, y starlark.Value) (bool, error) {
	small, err := r.items(x)
	if err != nil {
		return false, err
	}
	large, err := r.items(y)
	if err != nil {
		return false, err
	}
	s := seen{r: r}
	for _, k := range large {
		if _, err := s.add(k); err != nil {
			return false, err
		}
	}
	for _, k := range small {
		if ok, err := s.has(k); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func textTest(f func(string) bool) testFunc {
	return func(r *run, v starlark.Value, a *args) (bool, error) {
		s, err := r.plain(v)
		if err != nil {
			return false, err
		}
		return f(s), r.grow(float64(len(s)))
	}
}

func affix(arg string, f func(s, affix string) bool) testFunc {
	return func(r *run, v starlark.Value, a *args) (bool, error) {
		s, err := r.plain(v)
		if err != nil {
			return false, err
		}
		x, err := a.str(r, arg, "")
		return f(s, x), err
	}
}

// testRegex finds the pattern anywhere, or at the start of the text only.
func testRegex(atStart bool) testFunc {
	return func(r *run, v starlark.Value, a *args) (bool, error) {
		s, err := r.plain(v)
		if err != nil {
			return false, err
		}
		re, err := r.pattern(a, "pattern")
		if err != nil {
			return false, err
		}
		if err := r.search(re, s); err != nil {
			return false, err
		}
		if atStart {
			if re, err = regexp.Compile(`\A(?:` + re.String() + `)`); err != nil {
				return false, err
			}
		}
		return re.MatchString(s), nil
	}
}
