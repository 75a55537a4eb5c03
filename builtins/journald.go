package builtins

import (
	"context"
	"strconv"
	"strings"

	"fabgo/transport"
)

// journalTail are the last lines that concern a unit (its full name) in the system's journal; none where there is no journal.
//
// It asks for fields instead of journalctl --unit, which misses what systemd's own child says before it becomes the program
// ("Failed to locate executable"): journald often finds that child gone, and then knows its unit only from the field UNIT=, which --unit
// believes of process 1 alone. Here root is believed; an ordinary user cannot write into the tail of another's unit.
func journalTail(ctx context.Context, h transport.Host, unit string, lines int) []string {
	argv := []string{"journalctl", "--no-pager", "--quiet", "-n", strconv.Itoa(lines), "-o", "short-iso", "_SYSTEMD_UNIT=" + unit}
	for _, field := range []string{"UNIT=", "OBJECT_SYSTEMD_UNIT=", "COREDUMP_UNIT="} {
		argv = append(argv, "+", "_UID=0", field+unit)
	}
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(argv...)})
	if err != nil || out.Code != 0 || strings.TrimSpace(string(out.Stdout)) == "" {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(out.Stdout)), "\n")
}
