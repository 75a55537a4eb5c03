package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"fabgo/internal/inventory"
	"fabgo/interp"
)

// variables reads the variables of the bundle for every host, and finds all that is missing or does not fit before any of them is
// connected to. hosts are names without user and port.
func (o *opened) variables(repo *repository, hosts, sets []string) ([]inventory.Vars, error) {
	if err := repo.hosts.Strays(repo.dirs(o.path), hosts); err != nil {
		return nil, invalid(err)
	}
	vars := make([]inventory.Vars, len(hosts))
	for i, h := range hosts {
		var err error
		if vars[i], err = repo.load(o.path, h, sets); err != nil {
			return nil, invalid(err)
		}
	}
	calls := o.bundle.Calls("var")
	if err := unasked(calls, sets); err != nil {
		return nil, err
	}
	var ps interp.Problems
	for _, c := range calls {
		if p := o.missing(c, repo, hosts, vars); p != nil {
			ps = append(ps, p)
		}
		if p := misfit(c, vars); p != nil {
			ps = append(ps, p)
		}
	}
	if len(ps) > 0 {
		return nil, invalid(ps)
	}
	return vars, nil
}

// missing says which hosts have no value for a variable without a default.
func (o *opened) missing(c interp.StaticCall, repo *repository, hosts []string, vars []inventory.Vars) *interp.Problem {
	if c.HasDefault || c.Name == "" {
		return nil
	}
	var without []string
	for i, v := range vars {
		if _, ok := v.Values[c.Name]; !ok {
			without = append(without, hosts[i])
		}
	}
	if len(without) == 0 {
		return nil
	}
	file, on := "all.yaml", ""
	if len(without) < len(hosts) && !strings.HasPrefix(without[0], "@") {
		file, on = filepath.Join("hosts", without[0]+".yaml"), " for "+strings.Join(without, ", ")
	}
	return &interp.Problem{
		Pos: c.Pos, Source: c.Source, Msg: fmt.Sprintf("the variable %q is not set%s and has no default", c.Name, on),
		Hint: fmt.Sprintf("--set %s=VALUE, or a line in %s", c.Name, filepath.Join(repo.dirs(o.path)[0], "vars", file)),
	}
}

// misfit says when the text of a variable cannot become what its default is.
func misfit(c interp.StaticCall, vars []inventory.Vars) *interp.Problem {
	dflt, ok := defaultOf(c)
	if !ok { // a computed default: the run finds out
		return nil
	}
	if _, text := dflt.(starlark.String); text {
		return nil
	}
	for _, v := range vars {
		s, ok := v.Values[c.Name].(starlark.String)
		if !ok {
			continue
		}
		if _, err := interp.ParseLike(string(s), dflt); err != nil {
			return &interp.Problem{Pos: c.Pos, Source: c.Source, Msg: fmt.Sprintf("the variable %q (%s): %v", c.Name, v.Origin(c.Name), err)}
		}
	}
	return nil
}

// defaultOf is the default of a variable, when it is not computed.
func defaultOf(c interp.StaticCall) (starlark.Value, bool) {
	v, err := starlark.EvalOptions(&syntax.FileOptions{}, new(starlark.Thread), "default", c.Default, nil)
	return v, c.HasDefault && err == nil
}

// unasked refuses a --set NAME=VALUE that the bundle never asks for: it is misspelt.
func unasked(calls []interp.StaticCall, sets []string) error {
	var names []string
	for _, c := range calls {
		if c.Name == "" {
			return nil // a computed name can be any
		}
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	var errs []error
	for _, s := range sets {
		name, _, _ := strings.Cut(s, "=")
		if strings.HasPrefix(s, "@") || slices.Contains(names, name) {
			continue
		}
		has := "it has none"
		if len(names) > 0 {
			has = "it has " + strings.Join(names, ", ")
		}
		errs = append(errs, fmt.Errorf("--set %s: the bundle has no variable of that name (%s)", s, has))
	}
	if len(errs) > 0 {
		return &exit{code: exitUsage, err: errors.Join(errs...)}
	}
	return nil
}
