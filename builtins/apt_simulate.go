package builtins

import (
	"context"
	"slices"
	"strings"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// simPackage is a package in a simulation of apt's. Its name has the form in which dpkg's table has it: with :arch where that is not the
// host's own.
type simPackage struct{ name, arch, old, now string }

// simulation is what apt-get would do.
type simulation struct {
	argv    []string // for people: without the options that are always there
	out     transport.Output
	install []simPackage // also upgraded ones
	remove  []simPackage
	purge   bool
	unknown []string // names that no repository has
}

var (
	simInst = whenUsed(`^Inst (\S+) (?:\[([^\]]*)\] )?\((\S+) [^)]*?(?:\[([^\]]+)\])?\)`)
	simGone = whenUsed(`^(Remv|Purg) (\S+)(?: \[([^\]]*)\])?`)
	simNone = whenUsed(`(?m)^E: (?:Unable to locate package (\S+)|Package '([^']+)' has no installation candidate|Couldn't find any package by (?:glob|regex) '([^']+)')`)
)

// simulate asks apt-get what it would do. Its failure is in the answer.
func (a *apt) simulate(ctx context.Context, h transport.Host, words ...string) (simulation, error) {
	s := simulation{argv: append([]string{"apt-get", "-s"}, words...)}
	out, err := a.look(ctx, h, append(append([]string{"apt-get", "-s"}, a.options()...), words...)...)
	if err != nil {
		return s, err
	}
	s.parse(out)
	return s, nil
}

func (s *simulation) parse(out transport.Output) {
	s.out = out
	for line := range strings.Lines(string(out.Stdout)) {
		if m := simInst().FindStringSubmatch(line); m != nil {
			s.install = append(s.install, simPackage{name: m[1], old: m[2], now: m[3], arch: m[4]})
		} else if m := simGone().FindStringSubmatch(line); m != nil {
			s.purge = s.purge || m[1] == "Purg"
			s.remove = append(s.remove, simPackage{name: m[2], old: m[3]})
		}
	}
	// a package that is replaced in the course of things is removed first, then installed
	s.remove = slices.DeleteFunc(s.remove, func(p simPackage) bool { return s.find(p.name) != nil })
	for _, m := range simNone().FindAllStringSubmatch(string(out.Stderr), -1) {
		s.unknown = append(s.unknown, m[1]+m[2]+m[3])
	}
}

// find is the package that a name, or name:arch, stands for.
func (s *simulation) find(name string) *simPackage {
	for i, p := range s.install {
		if p.name == name || p.name+":"+p.arch == name {
			return &s.install[i]
		}
	}
	return nil
}

// failure is why apt-get would fail, or nil. Some refusals are apt's only when it is in earnest.
func (s *simulation) failure(a *apt) error {
	said := string(s.out.Stdout)
	switch {
	case s.out.Code != 0:
		return aptFailed(s.argv, s.out)
	case strings.Contains(said, "packages will be DOWNGRADED") && !a.args.Downgrade:
		return &converge.CommandError{Argv: s.argv, Output: transport.Output{Code: 100, Stderr: transport.Text(paragraph(said, "will be DOWNGRADED"))}, Hint: aptHint("Packages were downgraded")}
	case strings.Contains(said, "essential packages will be removed"):
		return &converge.CommandError{Argv: s.argv, Output: transport.Output{Code: 100, Stderr: transport.Text(paragraph(said, "essential packages"))}, Hint: aptHint("Essential packages")}
	case strings.Contains(said, "held packages will be changed"):
		return &converge.CommandError{Argv: s.argv, Output: transport.Output{Code: 100, Stderr: transport.Text(paragraph(said, "held packages"))}, Hint: aptHint("Held packages were changed")}
	}
	return nil
}

// paragraph is the line that holds words with the indented ones below it.
func paragraph(said, words string) string {
	var out []string
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\n")
		switch {
		case len(out) == 0 && strings.Contains(line, words), len(out) > 0 && strings.HasPrefix(line, " "):
			out = append(out, line)
		case len(out) > 0:
			return strings.Join(out, "\n")
		}
	}
	return strings.Join(out, "\n")
}

func packageKey(name string) converge.Key { return converge.Key{Table: transport.Packages, Name: name} }

// wanted are the objects that the simulation brings about.
func (s *simulation) wanted() []converge.Object {
	var out []converge.Object
	for _, p := range s.install {
		out = append(out, p.wanted())
	}
	for _, p := range s.remove {
		out = append(out, converge.Object{Key: packageKey(p.name), Absent: true})
	}
	return out
}

func (p simPackage) wanted() converge.Object {
	return converge.Object{
		Key: packageKey(p.name), As: "installed " + p.now,
		Fields: map[string]transport.Text{"status": "installed", "version": transport.Text(p.now)},
	}
}

// probePackages finds packages by their rows. A package of which only files of configuration are left is absent, unless they count.
func probePackages(ctx context.Context, h transport.Host, want []converge.Object, leftovers bool) ([]converge.Object, error) {
	have := make([]converge.Object, len(want))
	names := make([]transport.Text, len(want))
	for i, w := range want {
		names[i] = transport.Text(w.Key.Name)
	}
	if len(names) == 0 {
		return have, nil
	}
	rows, err := packageRows(ctx, h, names)
	if err != nil {
		return nil, err
	}
	for i, w := range want {
		row := rows[names[i]]
		o := converge.Object{Key: w.Key, Fields: row.Fields, Cause: row.cause, As: "installed " + string(row.Fields["version"])}
		if o.Fields != nil && o.Fields["status"] == "config-files" {
			o.As = "files of configuration"
		}
		o.Absent = row.cause == nil && (row.Fields == nil || row.Fields["status"] == "config-files" && !leftovers)
		if o.Absent {
			o = converge.Object{Key: w.Key, Absent: true}
		}
		have[i] = o
	}
	return have, nil
}

// packageRow is what is known of a package: its row, or why it is not known before the run.
type packageRow struct {
	Fields map[string]transport.Text
	cause  *converge.Cause
}

func (p packageRow) installed() bool { return p.Fields["status"] == "installed" }

// packageRows looks packages up; only where a plan does not know some of them it asks one by one.
func packageRows(ctx context.Context, h transport.Host, names []transport.Text) (map[transport.Text]packageRow, error) {
	out := map[transport.Text]packageRow{}
	if len(names) == 0 {
		return out, nil
	}
	rows, err := transport.Do[transport.Rows](ctx, h, transport.Lookup{Table: transport.Packages, Keys: names})
	cause := converge.CauseOf(err)
	switch {
	case err != nil && cause == nil:
		return nil, err
	case cause != nil && len(names) == 1:
		out[names[0]] = packageRow{cause: cause}
		return out, nil
	case cause != nil:
		for _, n := range names {
			one, err := packageRows(ctx, h, []transport.Text{n})
			if err != nil {
				return nil, err
			}
			if r, ok := one[n]; ok {
				out[n] = r
			}
		}
		return out, nil
	}
	for _, r := range rows.Rows {
		out[r.Key] = packageRow{Fields: r.Fields}
	}
	return out, nil
}
