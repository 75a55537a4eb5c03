package builtins

import (
	"context"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func timezoneNatives() starlark.StringDict { return native("timezone.set", timezoneSet) }

const (
	zones       = transport.Path("/usr/share/zoneinfo")
	localtime   = transport.Path("/etc/localtime")
	zoneName    = transport.Path("/etc/timezone")
	adjtimeFile = transport.Path("/etc/adjtime")
)

var zoneWord = whenUsed(`^[A-Za-z0-9][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

type timezoneArgs struct {
	common
	Name    string  `arg:"name"`
	Hwclock *string `arg:"hwclock"`
}

func timezoneSet(c *call, a timezoneArgs) (starlark.Value, error) {
	if !zoneWord().MatchString(a.Name) {
		return nil, fmt.Errorf("timezone.set: name: %q is no name of a time zone such as \"America/Chicago\" or \"UTC\"", a.Name)
	}
	if a.Hwclock != nil && *a.Hwclock != "utc" && *a.Hwclock != "local" {
		return nil, fmt.Errorf("timezone.set: hwclock: got %q, want \"utc\" or \"local\"", *a.Hwclock)
	}
	return c.converge(&placedLines{linesFile{"timezone:" + a.Name, a.want}, []transport.Path{localtime, zoneName, adjtimeFile}})
}

func (a timezoneArgs) want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	zone := zones.Join(a.Name)
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: zone, Follow: true})
	if err != nil {
		return nil, err
	}
	if fi.Type != transport.Regular {
		return nil, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("set the time zone %s: there is no file %s", a.Name, zone),
			Hint: "is the name right (ls /usr/share/zoneinfo)? pkg.install(\"tzdata\") brings them all, \"tzdata-legacy\" old names"}
	}
	link, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: localtime})
	if err != nil {
		return nil, err
	}
	target := transport.Text(zone)
	if link.Type == transport.Symlink && strings.TrimPrefix(string(link.Target), "..") == string(zone) {
		target = link.Target // as systemd writes it
	}
	want := []converge.Object{{Key: converge.FileKey(localtime), File: &converge.File{Type: transport.Symlink, Target: target, Replace: true}}}
	// Debian keeps the name in a file too, until Debian 12; later ones and others do not.
	name, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: zoneName, Follow: true})
	if err != nil {
		return nil, err
	}
	if name.Type != transport.Absent {
		content := transport.String(a.Name + "\n")
		want = append(want, converge.Object{Key: converge.FileKey(zoneName), File: &converge.File{Type: transport.Regular, Content: &content, Follow: true}})
	}
	if a.Hwclock == nil {
		return want, nil
	}
	clock, err := changedLines(ctx, h, adjtimeFile, converge.File{Mode: "0644", Follow: true}, func(l *lines) error {
		mode := strings.ToUpper(*a.Hwclock)
		switch {
		case len(l.text) >= 3:
			if strings.TrimSpace(l.text[2]) != mode {
				l.set(2, mode)
			}
		case mode == "LOCAL" || len(l.text) > 0: // without the file the clock has UTC: hwclock(8)
			l.swapLines(0, len(l.text), "0.0 0 0.0", "0", mode)
		}
		return nil
	})
	return append(want, clock), err
}
