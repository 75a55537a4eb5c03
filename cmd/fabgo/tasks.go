package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fabgo/internal/report"
	"fabgo/interp"
)

func (e *env) tasksCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tasks BUNDLE",
		Short: "List the tasks of a bundle",
		Args:  takes(1, 1, "a bundle, such as web1.star"),
		RunE: func(_ *cobra.Command, args []string) error {
			o, err := e.read(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return e.tasksJSON(o.bundle)
			}
			return e.tasksText(o.bundle)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a task and line")
	return cmd
}

func (e *env) tasksText(b *interp.Bundle) error {
	if doc := b.Doc(); doc.Summary != "" {
		fmt.Fprintf(e.Stdout, "%s\n\n", report.Escape(doc.Summary))
	}
	tasks := b.Tasks()
	if len(tasks) == 0 {
		_, err := fmt.Fprintf(e.Stdout, "%s has no tasks: its top level is all there is\n", b.Display())
		return err
	}
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	for _, t := range tasks {
		name := t.Name
		for _, p := range t.Params {
			name += " " + taskArg(p)
		}
		mark := ""
		if t.Default {
			mark = " (default)"
		}
		fmt.Fprintf(w, "%s\t%s%s\n", report.Escape(name), report.Escape(t.Summary), mark)
	}
	return w.Flush()
}

// taskArg is a parameter as it is given on the command line; brackets mean that it may be left out.
func taskArg(p interp.Param) string {
	switch {
	case p.Kind == interp.KwArgs:
		return "[NAME=VALUE...]"
	case p.Kind == interp.VarArgs:
		return ""
	case p.Required:
		return p.Name + "=VALUE"
	}
	return "[" + p.Name + "=" + strings.Trim(p.Default, `"`) + "]"
}

func (e *env) tasksJSON(b *interp.Bundle) error {
	type param struct {
		Name     string `json:"name"`
		Default  string `json:"default,omitempty"`
		Required bool   `json:"required"`
		Doc      string `json:"doc,omitempty"`
	}
	enc := json.NewEncoder(e.Stdout)
	enc.SetEscapeHTML(false)
	for _, t := range b.Tasks() {
		row := struct {
			Name    string  `json:"name"`
			Summary string  `json:"summary,omitempty"`
			Doc     string  `json:"doc,omitempty"`
			Default bool    `json:"default"`
			Params  []param `json:"params,omitempty"`
		}{Name: t.Name, Summary: t.Summary, Doc: t.Doc, Default: t.Default}
		for _, p := range t.Params {
			row.Params = append(row.Params, param{p.Name, p.Default, p.Required, p.Doc})
		}
		if err := enc.Encode(row); err != nil {
			return err
		}
	}
	return nil
}
