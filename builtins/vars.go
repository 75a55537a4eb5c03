package builtins

import (
	"encoding/json"
	"fmt"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
)

// EncodeVars writes variables for the journal.
func EncodeVars(vars map[string]starlark.Value) (map[string]json.RawMessage, error) {
	if len(vars) == 0 {
		return nil, nil
	}
	out := map[string]json.RawMessage{}
	for k, v := range vars {
		text, err := starlark.Call(new(starlark.Thread), starjson.Module.Members["encode"], starlark.Tuple{v}, nil)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", k, err)
		}
		out[k] = json.RawMessage(text.(starlark.String))
	}
	return out, nil
}

// DecodeVars reads what EncodeVars wrote, or any JSON objects.
func DecodeVars(raw map[string]json.RawMessage) (map[string]starlark.Value, error) {
	out := map[string]starlark.Value{}
	for k, b := range raw {
		v, err := starlark.Call(new(starlark.Thread), starjson.Module.Members["decode"], starlark.Tuple{starlark.String(b)}, nil)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", k, err)
		}
		v.Freeze()
		out[k] = v
	}
	return out, nil
}
