package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.starlark.net/starlark"

	"fabgo/builtins"
	"fabgo/internal/inventory"
	"fabgo/internal/report"
	"fabgo/interp"
)

func (e *env) explainCommand() *cobra.Command {
	var hosts, set []string
	var asJSON bool
	cmd := &cobra.Command{
		ValidArgsFunction: e.completeExplain,

		Use:   "explain VAR [BUNDLE]",
		Short: "Say where the value of a variable comes from",
		Long: `Explain shows the value that a variable has for a host, and every place that sets it, the one that
counts first: file and line, --set, or the default in the bundle. No host is connected to.

BUNDLE is by default the one that the inventory gives to the host, else HOST.star at the root of
the repository or in its folder bundles. Without -H the hosts are those that BUNDLE is for.`,
		Example: "  fabgo explain port -H web1\n  fabgo explain port bundles/web.star -H @web -e port=8000",
		Args:    takes(1, 2, "a variable"),
		RunE: func(_ *cobra.Command, args []string) error {
			bundle := ""
			if len(args) > 1 {
				bundle = args[1]
			}
			all, err := e.explainAll(args[0], bundle, hosts, set)
			if err != nil {
				return err
			}
			for _, x := range all {
				if asJSON {
					err = x.json(e)
				} else {
					err = x.text(e)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&hosts, "host", "H", nil, "`HOST` or @GROUP; may be given several times")
	cmd.Flags().StringArrayVarP(&set, "set", "e", nil, "as for fabgo run: `NAME=VALUE`, or @FILE")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a host and line")
	completeConnection(cmd)
	return cmd
}

// explanation is all that is known of a variable for a host.
type explanation struct {
	host, name string
	places     []inventory.Setting // the one that counts first
}

// defaultOrigin marks the default of the bundle among the places.
const defaultOrigin = "default in "

func (e *env) explainAll(name, bundle string, words, sets []string) ([]explanation, error) {
	var o *opened
	var repo *repository
	var err error
	if bundle != "" {
		if o, err = e.read(bundle); err != nil {
			return nil, err
		}
		repo, err = o.repository()
	} else {
		repo, err = repositoryHere()
	}
	if err != nil {
		return nil, err
	}
	hosts, err := repo.choose(words)
	switch {
	case err != nil:
		return nil, err
	case len(hosts) == 0 && o == nil:
		return nil, usage("explain %s: name a host with -H, or a bundle", name)
	case len(hosts) == 0:
		hosts = repo.targets(o)
	}
	if hosts, err = (&connectFlags{repo: repo}).resolve(hosts); err != nil {
		return nil, err
	}
	var out []explanation
	for _, h := range hosts {
		x, err := e.explainOne(repo, o, hosts, h, name, sets)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// explainOne explains a variable for a host, of a bundle or, without one, of the host's.
func (e *env) explainOne(repo *repository, o *opened, hosts []string, host, name string, sets []string) (explanation, error) {
	x := explanation{host: host, name: name}
	if o == nil {
		if own := repo.bundleOf(host); own != "" {
			var err error
			if o, err = e.read(own); err != nil {
				return x, err
			}
		}
	}
	path, calls := "", []interp.StaticCall(nil)
	if o != nil {
		path, calls = o.path, o.bundle.Calls("var")
	}
	if err := repo.hosts.Strays(repo.dirs(path), hosts); err != nil {
		return x, invalid(err)
	}
	if err := unasked(calls, sets); o != nil && err != nil {
		return x, err
	}
	vars, err := repo.load(path, host, sets)
	if err != nil {
		return x, invalid(err)
	}
	known := slices.Collect(maps.Keys(vars.Values))
	x.places = slices.Clone(vars.Layers[name])
	slices.Reverse(x.places)
	asked := false
	for _, c := range calls {
		known = append(known, c.Name)
		if c.Name != name {
			continue
		}
		asked = true
		if s, ok := literalDefault(c); ok {
			x.fit(s.Value)
			x.places = append(x.places, s)
		} else if c.HasDefault {
			x.places = append(x.places, inventory.Setting{File: defaultOrigin + c.Pos.File, Line: int(c.Pos.Line)})
		}
	}
	if len(x.places) == 0 {
		msg := fmt.Sprintf("the variable %q is not set for %s", name, host)
		if asked {
			msg += " and has no default"
		} else if near := interp.Nearest(name, known); near != "" {
			msg += fmt.Sprintf(" (did you mean %s?)", near)
		}
		return x, invalid(fmt.Errorf("explain %s: %s", name, msg))
	}
	if o != nil && !asked && !slices.ContainsFunc(calls, func(c interp.StaticCall) bool { return c.Name == "" }) {
		fmt.Fprintf(e.Stderr, "%s: %s never asks for %s\n", report.Escape(host), report.Escape(o.path), report.Escape(name))
	}
	return x, nil
}

// literalDefault is the default of a variable, when it is not computed.
func literalDefault(c interp.StaticCall) (inventory.Setting, bool) {
	v, ok := defaultOf(c)
	return inventory.Setting{Value: v, File: defaultOrigin + c.Pos.File, Line: int(c.Pos.Line)}, ok
}

// fit gives the texts of the command line the type of a default, as a run does.
func (x *explanation) fit(dflt starlark.Value) {
	if _, text := dflt.(starlark.String); text {
		return
	}
	for i, s := range x.places {
		if text, ok := s.Value.(starlark.String); ok {
			if v, err := interp.ParseLike(string(text), dflt); err == nil {
				x.places[i].Value = v
			}
		}
	}
}

// shown is a value as a bundle would spell it.
func shown(v starlark.Value) string {
	if v == nil {
		return "computed by the bundle"
	}
	return v.String()
}

func (x explanation) text(e *env) error {
	fmt.Fprintf(e.Stdout, "%s: %s = %s\n", report.Escape(x.host), report.Escape(x.name), report.Escape(shown(x.places[0].Value)))
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	for i, s := range x.places {
		word := "overrides"
		if i == 0 {
			word = "set by"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", word, report.Escape(s.Origin()), report.Escape(shown(s.Value)))
	}
	return w.Flush()
}

func (x explanation) json(e *env) error {
	type place struct {
		Origin string          `json:"origin"`
		Value  json.RawMessage `json:"value,omitempty"`
	}
	row := struct {
		Host   string  `json:"host"`
		Var    string  `json:"var"`
		Places []place `json:"places"`
	}{Host: x.host, Var: x.name}
	for _, s := range x.places {
		p := place{Origin: strings.TrimSpace(s.Origin())}
		if s.Value != nil {
			encoded, err := builtins.EncodeVars(map[string]starlark.Value{x.name: s.Value})
			if err != nil {
				return err
			}
			p.Value = encoded[x.name]
		}
		row.Places = append(row.Places, p)
	}
	enc := json.NewEncoder(e.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(row)
}
