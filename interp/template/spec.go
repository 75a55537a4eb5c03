package template

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// spec describes a filter or a test. Its usage, written as people read it, is also what its arguments are bound by.
type spec struct {
	name         string
	params       []param
	lead         int    // how many parameters can be given by position; behind a * only names count
	rest, kwrest bool   // takes further positional, or named, arguments
	maybe        bool   // a missing operand is passed as nil instead of being an error
	inner        string // "filter" or "test": the arguments name one to apply
	attr         bool   // with inner: the first argument is an attribute
	filter       func(r *run, v starlark.Value, a *args) (starlark.Value, error)
	test         func(r *run, v starlark.Value, a *args) (bool, error)
}

type param struct {
	name     string
	required bool
}

type filterFunc = func(r *run, v starlark.Value, a *args) (starlark.Value, error)
type testFunc = func(r *run, v starlark.Value, a *args) (bool, error)

// newSpec reads a usage such as "indent(width, first?)": "?" marks an optional parameter, "*" and "**" take the rest.
func newSpec(usage string) *spec {
	name, list, _ := strings.Cut(strings.TrimSuffix(usage, ")"), "(")
	s := &spec{name: name}
	for _, p := range strings.Split(list, ",") {
		p = strings.TrimSpace(p)
		switch {
		case p == "":
		case strings.HasPrefix(p, "**"):
			s.kwrest = true
		case strings.HasPrefix(p, "*"):
			s.rest = true
		default:
			q, optional := strings.CutSuffix(p, "?")
			s.params = append(s.params, param{q, !optional})
			if !s.rest {
				s.lead++
			}
		}
	}
	return s
}

func (s *spec) usage() string {
	var b strings.Builder
	b.WriteString(s.name + "(")
	for i, p := range s.params {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.name)
		if !p.required {
			b.WriteString("?")
		}
	}
	if s.rest || s.kwrest {
		if len(s.params) > 0 {
			b.WriteString(", ")
		}
		b.WriteString("...")
	}
	return b.String() + ")"
}

// named puts the name of the filter before an error of its own.
func (s *spec) named(err error) error {
	if isMissing(err) {
		return missingf("%s: %s", s.name, err)
	}
	return errorf("%s: %w", s.name, err)
}

// args are the arguments of one application. vals is empty or as long as the parameters; nil is "not given".
type args struct {
	spec      *spec
	vals      []starlark.Value
	rest      []starlark.Value
	kw        []starlark.Tuple
	inner     *spec
	innerArgs *args
}

func (a *args) get(name string) starlark.Value {
	i := slices.IndexFunc(a.spec.params, func(p param) bool { return p.name == name })
	if len(a.vals) == 0 {
		return nil
	}
	return a.vals[i]
}

func (a *args) str(r *run, name, dflt string) (string, error) {
	v := a.get(name)
	if v == nil {
		return dflt, nil
	}
	s, err := r.plain(v)
	if err != nil {
		return "", errorf("%s: %w", name, err)
	}
	return s, nil
}

// maxSize bounds arguments that say how wide or how many.
const maxSize = 10_000

func (a *args) int(name string, dflt int) (int, error) {
	v := a.get(name)
	if v == nil {
		return dflt, nil
	}
	n, err := starlark.AsInt32(v)
	if err != nil {
		return 0, errorf("%s wants a number, got %s", name, an(v))
	}
	if n > maxSize || n < -maxSize {
		return 0, errorf("%s is too large: %d, the limit is %d", name, n, maxSize)
	}
	return n, nil
}

func (a *args) bool(name string, dflt bool) bool {
	if v := a.get(name); v != nil {
		return bool(v.Truth())
	}
	return dflt
}

// apply applies the inner filter of a map.
func (a *args) apply(r *run, v starlark.Value) (starlark.Value, error) {
	if err := r.charge(1); err != nil {
		return nil, err
	}
	x, err := a.inner.filter(r, v, a.innerArgs)
	if err != nil {
		return nil, a.inner.named(err)
	}
	return x, nil
}

// holds asks the inner test, or for truth when there is none; v is nil for a missing value.
func (a *args) holds(r *run, v starlark.Value, missing error) (bool, error) {
	if err := r.charge(1); err != nil {
		return false, err
	}
	if v == nil && (a.inner == nil || !a.inner.maybe) {
		return false, missing
	}
	if a.inner == nil {
		return bool(v.Truth()), nil
	}
	ok, err := a.inner.test(r, v, a.innerArgs)
	if err != nil {
		return false, a.inner.named(err)
	}
	return ok, nil
}

// filterTable and testTable are built for each compilation: a table of functions that could refer to it would be an
// initialisation cycle, and a package variable could be written to.
func filterTable() map[string]*spec {
	t := map[string]*spec{}
	for _, part := range []map[string]filterFunc{valueFilters(), textFilters(), listFilters(), selectFilters(), dictFilters(), encodeFilters(), regexFilters()} {
		for usage, fn := range part {
			names := strings.Split(usage[:strings.IndexByte(usage, '(')], " ")
			for _, name := range names {
				s := newSpec(name + usage[strings.IndexByte(usage, '('):])
				s.filter = fn
				t[name] = s
			}
		}
	}
	t["default"].maybe, t["d"].maybe, t["mandatory"].maybe = true, true, true
	for name, inner := range map[string]string{"map": "filter", "select": "test", "reject": "test", "selectattr": "test", "rejectattr": "test"} {
		t[name].inner = inner
		t[name].attr = strings.HasSuffix(name, "attr")
	}
	return t
}

// refused says why a filter that people know from Jinja or Ansible is not here.
var refused = map[string]string{
	"random":        "rendering is deterministic",
	"shuffle":       "rendering is deterministic",
	"password_hash": "it would need a random salt; hash the password once and keep it as a secret",
	"safe":          "nothing is escaped unless asked for, so leave it out",
	"forceescape":   "use | escape",
	"fileglob":      "a template sees nothing but its vars",
	"from_json":     "decode in the bundle and hand the value in through vars",
	"from_yaml":     "decode in the bundle and hand the value in through vars",
	"to_datetime":   "a template has no clock",
	"strftime":      "a template has no clock",
	"realpath":      "a template sees no files",
	"expanduser":    "a template sees no users",
	"vault":         "secrets belong to the bundle",
	"pprint":        "use | to_nice_json",
}
