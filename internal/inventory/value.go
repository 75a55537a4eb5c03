package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"go.starlark.net/starlark"
)

// value makes a Starlark value of what a YAML, TOML or JSON file holds. Keys of dicts come sorted, so that a bundle sees the same order
// every time. Dates are texts, as they stand in RFC 3339.
func value(x any) (starlark.Value, error) {
	switch x := x.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(x), nil
	case string:
		return starlark.String(x), nil
	case int:
		return starlark.MakeInt(x), nil
	case int64:
		return starlark.MakeInt64(x), nil
	case uint64:
		return starlark.MakeUint64(x), nil
	case float64:
		return starlark.Float(x), nil
	case json.Number:
		return number(x)
	case time.Time:
		return starlark.String(x.Format(time.RFC3339Nano)), nil
	case fmt.Stringer: // TOML's local dates
		return starlark.String(x.String()), nil
	case []any:
		return list(x)
	case []map[string]any:
		out := make([]any, len(x))
		for i, m := range x {
			out[i] = m
		}
		return list(out)
	case map[string]any:
		return dict(x)
	case map[any]any:
		m := map[string]any{}
		for k, v := range x {
			m[fmt.Sprint(k)] = v
		}
		return dict(m)
	}
	return nil, fmt.Errorf("a value of type %T has no counterpart", x)
}

func number(n json.Number) (starlark.Value, error) {
	if i, ok := new(big.Int).SetString(n.String(), 10); ok {
		return starlark.MakeBigInt(i), nil
	}
	f, err := n.Float64()
	return starlark.Float(f), err
}

func list(xs []any) (starlark.Value, error) {
	out := make([]starlark.Value, len(xs))
	for i, x := range xs {
		v, err := value(x)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return starlark.NewList(out), nil
}

func dict(m map[string]any) (starlark.Value, error) {
	out := starlark.NewDict(len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		v, err := value(m[k])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		if err := out.SetKey(starlark.String(k), v); err != nil {
			return nil, err
		}
	}
	return out, nil
}
