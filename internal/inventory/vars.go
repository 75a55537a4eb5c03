// Package inventory knows what is to be known about hosts before they are asked: the variables of bundles.
//
// The one rule: a value comes from the most particular place that sets it, and the place can be named.
//
// The trap: the command line knows only texts, files know types. A text from the command line takes the type of the variable's default.
//
// The promise: nothing here touches a host.
package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"go.starlark.net/starlark"
	"go.yaml.in/yaml/v3"
)

// Vars are the variables for one bundle on one host.
type Vars struct {
	Values map[string]starlark.Value
	Origin map[string]string // where each was set: a file, or "--set"
}

// Load reads the variables of a bundle for a host. The later wins: vars/all, vars/<bundle>, vars/<host> (each .yaml, .yml, .toml or .json) in
// the bundle's folder, then sets in their order: "name=value" or "@file".
func Load(bundle, host string, sets []string) (Vars, error) {
	v := Vars{Values: map[string]starlark.Value{}, Origin: map[string]string{}}
	dir := filepath.Join(filepath.Dir(bundle), "vars")
	name := strings.TrimSuffix(filepath.Base(bundle), ".star")
	for _, base := range slices.Compact([]string{"all", name, host}) {
		if strings.ContainsAny(base, "/\\") || strings.HasPrefix(base, "@") || base == "" {
			continue
		}
		if err := v.layer(dir, base); err != nil {
			return v, err
		}
	}
	for _, s := range sets {
		if file, ok := strings.CutPrefix(s, "@"); ok {
			if err := v.file(file); err != nil {
				return v, err
			}
			continue
		}
		k, val, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return v, fmt.Errorf("--set %s: want NAME=VALUE or @FILE", s)
		}
		v.Values[k], v.Origin[k] = starlark.String(val), "--set"
	}
	return v, nil
}

var suffixes = []string{".yaml", ".yml", ".toml", ".json"}

// layer reads the one file of a base name; two with different suffixes would hide each other.
func (v *Vars) layer(dir, base string) error {
	var found []string
	for _, s := range suffixes {
		p := filepath.Join(dir, base+s)
		if _, err := os.Stat(p); err == nil {
			found = append(found, p)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read variables: %w", err)
		}
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return v.file(found[0])
	}
	return fmt.Errorf("read variables: %s and %s both exist: keep one", found[0], found[1])
}

func (v *Vars) file(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read variables: %w", err)
	}
	m, err := parse(name, b)
	if err != nil {
		return fmt.Errorf("read variables: %s: %w", name, err)
	}
	for k, x := range m {
		val, err := value(x)
		if err != nil {
			return fmt.Errorf("read variables: %s: %s: %w", name, k, err)
		}
		val.Freeze()
		v.Values[k], v.Origin[k] = val, name
	}
	return nil
}

func parse(name string, b []byte) (map[string]any, error) {
	m := map[string]any{}
	switch filepath.Ext(name) {
	case ".yaml", ".yml":
		return m, yaml.Unmarshal(b, &m)
	case ".toml":
		return m, toml.Unmarshal(b, &m)
	case ".json":
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		if err := d.Decode(&m); err != nil {
			return nil, jsonError(b, err)
		}
		if d.More() {
			return nil, fmt.Errorf("there is something after the object")
		}
		return m, nil
	}
	return nil, fmt.Errorf("its name ends neither in .yaml, .yml, .toml nor .json")
}

// jsonError adds the line, which encoding/json gives as an offset only.
func jsonError(b []byte, err error) error {
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", 1+strings.Count(string(b[:min(se.Offset, int64(len(b)))]), "\n"), err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: it ends too early", 1+strings.Count(string(b), "\n"))
	}
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("line %d: it is a JSON %s, not an object", 1+strings.Count(string(b[:min(te.Offset, int64(len(b)))]), "\n"), te.Value)
	}
	return err
}

// Missing lists the names of calls that no variable answers, each once.
func (v Vars) Missing(names []string) []string {
	var out []string
	for _, n := range names {
		if _, ok := v.Values[n]; !ok && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
