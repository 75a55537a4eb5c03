package template

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// valueFilters are about single values: whether they are there, conversions, numbers. As in every table of filters, a
// key is the names of the filter and its usage.
func valueFilters() map[string]filterFunc {
	return map[string]filterFunc{
		"default d(value?, boolean?)": filterDefault,
		"mandatory(message?)":         filterMandatory,
		"ternary(yes, no, none?)":     filterTernary,
		"string()":                    filterString,
		"int(default?, base?)":        filterInt,
		"float(default?)":             filterFloat,
		"bool()":                      filterBool,
		"abs()":                       filterAbs,
		"round(precision?, method?)":  filterRound,
		"pow(exponent)":               filterPow,
		"filesizeformat(binary?)":     filterFileSize,
		"type_debug()":                filterType,
	}
}

func filterDefault(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	if v != nil && v != starlark.None && (!a.bool("boolean", false) || bool(v.Truth())) {
		return v, nil
	}
	if d := a.get("value"); d != nil {
		return d, nil
	}
	return starlark.String(""), nil
}

func filterMandatory(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	if v != nil && v != starlark.None {
		return v, nil
	}
	msg, err := a.str(r, "message", "this value is mandatory")
	if err != nil {
		return nil, err
	}
	return nil, errorf("%s", msg)
}

func filterTernary(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	if none := a.get("none"); v == starlark.None && none != nil {
		return none, nil
	}
	if v.Truth() {
		return a.get("yes"), nil
	}
	return a.get("no"), nil
}

func filterString(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	s, err := r.text(v)
	return starlark.String(s), err
}

func filterType(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	return starlark.String(v.Type()), nil
}

// filterInt refuses what is no number unless a default is given; Jinja's own makes it 0, which hides mistakes.
func filterInt(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	base, err := a.int("base", 10)
	if err != nil {
		return nil, err
	}
	if base != 0 && (base < 2 || base > 36) {
		return nil, errorf("base is 0 or 2 to 36, got %d", base)
	}
	switch x := v.(type) {
	case starlark.Int:
		return x, nil
	case starlark.Bool:
		if x {
			return starlark.MakeInt(1), nil
		}
		return starlark.MakeInt(0), nil
	case starlark.Float:
		if i, err := starlark.NumberToInt(x); err == nil {
			return i, nil
		}
	case starlark.String:
		s := strings.TrimSpace(string(x))
		if len(s) > 1000 {
			break
		}
		if i, ok := new(big.Int).SetString(trimBase(s, base), base); ok {
			return starlark.MakeBigInt(i), nil
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil && base == 10 && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return starlark.NumberToInt(starlark.Float(f))
		}
	}
	if d := a.get("default"); d != nil {
		return d, nil
	}
	return nil, notNumber(v, "whole number")
}

// trimBase drops the prefix that Python accepts together with its base.
func trimBase(s string, base int) string {
	prefix := map[int]string{2: "0b", 8: "0o", 16: "0x"}[base]
	sign := ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	if prefix != "" && len(s) > 2 && strings.EqualFold(s[:2], prefix) {
		s = s[2:]
	}
	return sign + s
}

func notNumber(v starlark.Value, want string) error {
	if s, ok := v.(starlark.String); ok {
		return errorf("the text is not a %s: %.40q", want, string(s))
	}
	return errorf("%s is not a %s", an(v), want)
}

func filterFloat(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	switch x := v.(type) {
	case starlark.Int, starlark.Float:
		f, _ := starlark.AsFloat(x)
		return starlark.Float(f), nil
	case starlark.String:
		if f, err := strconv.ParseFloat(strings.TrimSpace(string(x)), 64); err == nil {
			return starlark.Float(f), nil
		}
	}
	if d := a.get("default"); d != nil {
		return d, nil
	}
	return nil, notNumber(v, "number")
}

func filterBool(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	switch x := v.(type) {
	case starlark.Bool:
		return x, nil
	case starlark.Int:
		if n, ok := x.Int64(); ok && (n == 0 || n == 1) {
			return starlark.Bool(n == 1), nil
		}
	case starlark.String:
		switch strings.ToLower(string(x)) {
		case "yes", "on", "true", "1":
			return starlark.True, nil
		case "no", "off", "false", "0", "":
			return starlark.False, nil
		}
		return nil, errorf("want yes, no, on, off, true, false, 1 or 0, got %.40q", string(x))
	}
	return nil, errorf("%s is not a yes or no", an(v))
}

func filterAbs(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	switch x := v.(type) {
	case starlark.Int:
		if x.Sign() < 0 {
			return starlark.Unary(syntax.MINUS, x)
		}
		return x, nil
	case starlark.Float:
		return starlark.Float(math.Abs(float64(x))), nil
	}
	return nil, notNumber(v, "number")
}

// filterRound gives a float, as in Jinja; halves go to the even neighbour, as in Python.
func filterRound(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	x, ok := starlark.AsFloat(v)
	if !ok {
		return nil, notNumber(v, "number")
	}
	prec, err := a.int("precision", 0)
	if err != nil {
		return nil, err
	}
	if prec < -300 || prec > 300 {
		return nil, errorf("precision is -300 to 300, got %d", prec)
	}
	method, err := a.str(r, "method", "common")
	if err != nil {
		return nil, err
	}
	scale := math.Pow10(prec)
	switch method {
	case "ceil":
		return starlark.Float(math.Ceil(x*scale) / scale), nil
	case "floor":
		return starlark.Float(math.Floor(x*scale) / scale), nil
	case "common":
		if prec < 0 {
			return starlark.Float(math.RoundToEven(x*scale) / scale), nil
		}
		f, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', prec, 64), 64)
		return starlark.Float(f), err
	}
	return nil, errorf("method is common, ceil or floor, got %q", method)
}

func filterPow(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	i, isInt := v.(starlark.Int)
	e, isIntE := a.get("exponent").(starlark.Int)
	if isInt && isIntE && e.Sign() >= 0 {
		n, ok := e.Int64()
		if bits := float64(i.BigInt().BitLen()) * float64(n); !ok || bits > maxIntBits {
			if i.BigInt().BitLen() > 1 {
				return nil, errorf("the result is too large")
			}
			n = 2 - n%2 // 0, 1 and -1 have small powers
		}
		return starlark.MakeBigInt(new(big.Int).Exp(i.BigInt(), big.NewInt(n), nil)), nil
	}
	x, ok := starlark.AsFloat(v)
	y, ok2 := starlark.AsFloat(a.get("exponent"))
	if !ok || !ok2 {
		return nil, errorf("want two numbers")
	}
	return starlark.Float(math.Pow(x, y)), nil
}

func filterFileSize(r *run, v starlark.Value, a *args) (starlark.Value, error) {
	x, ok := starlark.AsFloat(v)
	if !ok {
		return nil, notNumber(v, "number")
	}
	base, units := 1000.0, []string{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"}
	if a.bool("binary", false) {
		base, units = 1024, []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}
	}
	if x == 1 {
		return starlark.String("1 Byte"), nil
	}
	if x < base {
		return starlark.String(strconv.FormatInt(int64(x), 10) + " Bytes"), nil
	}
	for i, u := range units {
		if limit := math.Pow(base, float64(i+2)); x < limit {
			return starlark.String(strconv.FormatFloat(base*x/limit, 'f', 1, 64) + " " + u), nil
		}
	}
	return nil, errorf("this number is too large")
}
