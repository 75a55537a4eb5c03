package tables

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fabgo/transport"
)

var unitSuffixes = []string{".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice", ".scope"}

// isUnit reports whether systemctl takes name as the name of one unit: not as a pattern, not as an abbreviation, and not as a template,
// which has no state. One name that systemctl refuses would spoil the answer for all.
func isUnit(name string) bool {
	if len(name) > 255 || strings.Contains(name, "@.") || strings.HasPrefix(name, "@") {
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune(`:-_.\@`, rune(c)) {
			return false
		}
	}
	return slices.ContainsFunc(unitSuffixes, func(s string) bool { return len(name) > len(s) && strings.HasSuffix(name, s) })
}

// ParseSystemctlShow reads the output of `systemctl show`: the properties of one unit a block, blocks divided by a blank line.
func ParseSystemctlShow(b []byte) []map[string]string {
	var out []map[string]string
	var block map[string]string
	lines(b, func(line string) {
		if line == "" {
			block = nil
			return
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return
		}
		if block == nil {
			block = map[string]string{}
			out = append(out, block)
		}
		block[key] = value
	})
	return out
}

// ShowUnits is the command whose output the rows of Units are made of. Result is not a property of every type of unit.
func ShowUnits(units []string) []string {
	return append([]string{
		"systemctl", "show", "--no-pager", "-p", "Id", "-p", "LoadState", "-p", "ActiveState", "-p", "SubState", "-p", "UnitFileState",
		"-p", "FragmentPath", "-p", "NeedDaemonReload", "-p", "CanReload", "-p", "Result", "--",
	}, units...)
}

// NoSystemd is the error for a host on which systemd does not run.
func NoSystemd() error {
	return unsupported("look up units: systemd is not running", noSystemd, nil)
}

func (r *Reader) lookupUnits(ctx context.Context, keys []transport.Text) (transport.Rows, error) {
	if len(keys) == 0 {
		return allUnits(ctx, r.src)
	}
	var names []string
	for _, k := range keys {
		if isUnit(string(k)) {
			names = append(names, string(k))
		}
	}
	rows, err := showUnits(ctx, r.src, names)
	if err != nil {
		return transport.Rows{}, err
	}
	if len(rows) != len(names) {
		return transport.Rows{}, &transport.Error{Kind: transport.Protocol,
			Message: fmt.Sprintf("look up units: systemd answered for %d of %d units", len(rows), len(names))}
	}
	out := transport.Rows{Rows: []transport.Row{}}
	for i, row := range rows {
		row.Key = transport.Text(names[i]) // the name that was asked for, which may be an alias of row's
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// allUnits are the units that systemd holds and those that have a file.
func allUnits(ctx context.Context, src Source) (transport.Rows, error) {
	rows, names, err := unitNames(ctx, src)
	if err != nil {
		return transport.Rows{}, err
	}
	for chunk := range slices.Chunk(names, 500) {
		more, err := showUnits(ctx, src, chunk)
		if err != nil {
			return transport.Rows{}, err
		}
		rows = append(rows, more...)
	}
	return pick(nil, func() []transport.Row {
		slices.SortStableFunc(rows, func(a, b transport.Row) int { return strings.Compare(string(a.Key), string(b.Key)) })
		return slices.CompactFunc(rows, func(a, b transport.Row) bool { return a.Key == b.Key })
	}, nil), nil
}

// unitNames are the names of all units, but for those whose rows it has already.
func unitNames(ctx context.Context, src Source) (rows []transport.Row, names []string, err error) {
	var all []string
	n, native := src.(Native)
	if native {
		if all, native, err = n.UnitNames(ctx); err != nil {
			return nil, nil, err
		}
	}
	if !native {
		if rows, err = showUnits(ctx, src, []string{"*"}); err != nil {
			return nil, nil, err
		}
		out, err := systemctl(ctx, src, []string{"systemctl", "list-unit-files", "--no-pager", "--no-legend", "--plain"})
		if err != nil {
			return nil, nil, err
		}
		lines([]byte(out.Stdout), func(line string) {
			if f := strings.Fields(line); len(f) > 0 {
				all = append(all, f[0])
			}
		})
	}
	seen := map[string]bool{}
	for _, r := range rows {
		seen[string(r.Key)] = true
	}
	for _, name := range all {
		if isUnit(name) && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return rows, names, nil
}

// showUnits asks systemd for units, all at once; the rows come in the order of the names, under the units' own names.
func showUnits(ctx context.Context, src Source, names []string) ([]transport.Row, error) {
	var rows []transport.Row
	if n, ok := src.(Native); ok && !slices.Contains(names, "*") {
		properties, ok, err := n.ShowUnits(ctx, names)
		if err != nil {
			return nil, err
		}
		if ok {
			for _, p := range properties {
				rows = append(rows, unitRow(p))
			}
			return rows, nil
		}
	}
	argv := ShowUnits(names)
	if len(names) == 0 { // no unit was named that can exist, yet whether systemd runs at all is part of the answer
		argv = []string{"systemctl", "show", "--no-pager", "-p", "Version"}
	}
	out, err := systemctl(ctx, src, argv)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	for _, p := range ParseSystemctlShow([]byte(out.Stdout)) {
		rows = append(rows, unitRow(p))
	}
	return rows, nil
}

func unitRow(p map[string]string) transport.Row {
	f := map[string]transport.Text{
		"load": transport.Text(p["LoadState"]), "active": transport.Text(p["ActiveState"]), "sub": transport.Text(p["SubState"]),
		"enabled": transport.Text(p["UnitFileState"]), "stale": flag(p["NeedDaemonReload"] == "yes"), "reload": flag(p["CanReload"] == "yes"),
	}
	if v := p["FragmentPath"]; v != "" {
		f["file"] = transport.Text(v)
	}
	if v := p["Result"]; v != "" {
		f["result"] = transport.Text(v)
	}
	return transport.Row{Key: transport.Text(p["Id"]), Fields: f}
}

// systemctl runs an observing systemctl command and tells a host without systemd from a failure.
func systemctl(ctx context.Context, src Source, argv []string) (transport.Output, error) {
	out, ok, err := observe(ctx, src, argv)
	if err != nil {
		return out, err
	}
	if !ok {
		return out, unsupported("look up units: there is no systemctl", noSystemd, nil)
	}
	said := string(out.Stderr)
	for _, s := range []string{"has not been booted with systemd", "Failed to connect to bus", "Running in chroot", "Host is down"} {
		if strings.Contains(said, s) {
			return out, unsupported("look up units: systemd is not running: "+firstLine(said), noSystemd, nil)
		}
	}
	if out.Code != 0 {
		return out, &transport.Error{Kind: transport.IO, Stderr: out.Stderr,
			Message: fmt.Sprintf("look up units: systemctl exited with %d: %s", out.Code, firstLine(said))}
	}
	return out, nil
}

const noSystemd = "this host's services are not run by systemd"

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}
