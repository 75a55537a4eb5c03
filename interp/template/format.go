package template

import (
	"fmt"
	"math/big"
	"strings"

	"go.starlark.net/starlark"
)

// format is Python's text % args: flags, width and precision, %(name)s, and the verbs d i s r x X o c e E f F g G %.
func (r *run) format(f string, with starlark.Value) (string, error) {
	list, isTuple := with.(starlark.Tuple)
	if !isTuple {
		list = starlark.Tuple{with}
	}
	dict, isDict := with.(*starlark.Dict)
	var b strings.Builder
	next := 0
	named := false
	for {
		i := strings.IndexByte(f, '%')
		if i < 0 {
			b.WriteString(f)
			break
		}
		b.WriteString(f[:i])
		f = f[i+1:]
		var v starlark.Value
		if strings.HasPrefix(f, "(") {
			name, rest, ok := strings.Cut(f[1:], ")")
			if !ok || !isDict {
				return "", errorf("%%(name) in a format wants a closing bracket and a dict")
			}
			x, found, err := dict.Get(starlark.String(name))
			if err != nil {
				return "", err
			}
			if !found {
				return "", missingKey(dict, name, nil)
			}
			v, f, named = x, rest, true
		}
		n := strings.IndexFunc(f, func(c rune) bool { return !strings.ContainsRune("-+ #0123456789.", c) })
		if n < 0 {
			return "", errorf("the format ends within a %% conversion")
		}
		spec, verb := f[:n], f[n]
		f = f[n+1:]
		if verb == '%' {
			b.WriteByte('%')
			continue
		}
		if v == nil {
			if next >= len(list) {
				return "", errorf("the format wants more than the %d values it got", len(list))
			}
			v = list[next]
			next++
		}
		if err := checkWidth(spec); err != nil {
			return "", err
		}
		s, err := r.convert(spec, verb, v)
		if err != nil {
			return "", err
		}
		if err := r.grow(float64(b.Len() + len(s))); err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	if !named && next < len(list) && !(isDict && next == 0) {
		return "", errorf("the format wants %d values, got %d", next, len(list))
	}
	return b.String(), nil
}

func checkWidth(spec string) error {
	digits := 0
	for _, c := range spec {
		if c < '0' || c > '9' {
			digits = 0
		} else if digits++; digits > 4 {
			return errorf("the width %q of a format is too large", spec)
		}
	}
	if strings.LastIndexAny(spec, "-+ #") > strings.IndexAny(spec, "123456789.") && strings.ContainsAny(spec, "123456789.") ||
		strings.Count(spec, ".") > 1 {
		return errorf("bad format %q", spec)
	}
	return nil
}

func (r *run) convert(spec string, verb byte, v starlark.Value) (string, error) {
	switch verb {
	case 's', 'r':
		if v == starlark.None {
			return "", errorf("%%%c: got None", verb)
		}
		s, err := r.text(v)
		if verb == 'r' {
			var b strings.Builder
			err = r.repr(&b, v, 0)
			s = b.String()
		}
		return fmt.Sprintf("%"+textSpec(spec)+"s", s), err
	case 'd', 'i', 'x', 'X', 'o':
		i, ok := v.(starlark.Int)
		if f, isFloat := v.(starlark.Float); isFloat && (verb == 'd' || verb == 'i') {
			x, err := starlark.NumberToInt(f)
			if err != nil {
				return "", err
			}
			i, ok = x, true
		}
		if !ok {
			return "", errorf("%%%c wants a whole number, got %s", verb, an(v))
		}
		if verb == 'i' {
			verb = 'd'
		}
		return fmt.Sprintf("%"+spec+string(verb), new(big.Int).Set(i.BigInt())), nil
	case 'e', 'E', 'f', 'F', 'g', 'G':
		f, ok := starlark.AsFloat(v)
		if !ok {
			return "", errorf("%%%c wants a number, got %s", verb, an(v))
		}
		if (verb == 'g' || verb == 'G') && !strings.Contains(spec, ".") {
			spec += ".6"
		}
		return fmt.Sprintf("%"+spec+string(verb), f), nil
	case 'c':
		if s, ok := v.(starlark.String); ok && len([]rune(string(s))) == 1 {
			return string(s), nil
		}
		if i, err := starlark.AsInt32(v); err == nil {
			return string(rune(i)), nil
		}
		return "", errorf("%%c wants a character, got %s", an(v))
	}
	return "", errorf("a format knows no %%%c", verb)
}

// textSpec keeps of a conversion what applies to text: Python pads text with blanks only.
func textSpec(spec string) string {
	width := strings.TrimLeft(spec, "-+ #0")
	if strings.Contains(spec[:len(spec)-len(width)], "-") {
		return "-" + width
	}
	return width
}
