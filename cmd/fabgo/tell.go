package main

import (
	"errors"
	"strings"
	"time"

	"fabgo/internal/report"
	"fabgo/interp"
	"fabgo/transport"
)

// tell prints an error for a person. It is the one place that does, for what is not in a journal.
func (e *env) tell(err error) {
	_ = report.Problems(e.Stderr, e.color(e.Stderr), explain(err)...)
}

func explain(err error) []report.Problem {
	f := interp.Explain(err)
	all := []report.Problem{problem(f)}
	if te, ok := errors.AsType[*transport.Error](err); ok {
		p := &all[0]
		if p.Hint == "" {
			p.Hint = te.Hint
		}
		if said := strings.TrimSpace(string(te.Stderr)); said != "" && !strings.Contains(p.Message, said) {
			p.Message += "\nit said:\n" + said
		}
	}
	for _, a := range f.Also {
		all = append(all, problem(a))
	}
	return all
}

func problem(f *interp.Failure) report.Problem {
	p := report.Problem{Message: f.Msg, Hint: f.Hint, Source: f.Source, Column: f.Pos.Col}
	if f.Pos.IsValid() {
		p.Pos = f.Pos.String()
	}
	for i, fr := range f.Frames {
		if i < len(f.Frames)-1 {
			p.Chain = append(p.Chain, fr.Position.String())
		}
	}
	return p
}

// shortDuration is a duration as people give it: 30m, not 30m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
