package builtins

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"fabgo/internal/converge"
	"fabgo/transport"
)

const fstabFile transport.Path = "/etc/fstab"

// fstabLine is a line of fstab(5).
type fstabLine struct {
	source, dir, fstype, options string
	dump, pass                   int
}

func parseFstabLine(line string) (fstabLine, bool) {
	f := strings.Fields(line)
	if len(f) < 3 || f[0][0] == '#' {
		return fstabLine{}, false
	}
	for i, w := range f {
		f[i] = unescapeFstab(w)
	}
	e := fstabLine{source: f[0], dir: f[1], fstype: f[2], options: "defaults"}
	if len(f) > 3 {
		e.options = f[3]
	}
	if len(f) > 4 {
		e.dump, _ = strconv.Atoi(f[4])
	}
	if len(f) > 5 {
		e.pass, _ = strconv.Atoi(f[5])
	}
	return e, true
}

var fstabEscapes = strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "#", `\043`)

func (e fstabLine) String() string {
	esc := fstabEscapes.Replace
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d", esc(e.source), esc(e.dir), esc(e.fstype), esc(e.options), e.dump, e.pass)
}

// unescapeFstab undoes \ooo.
func unescapeFstab(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// changedFstab is the file with the line that is wanted in the place of those that match, or with none of those; old is what stood there.
func changedFstab(ctx context.Context, h transport.Host, want *fstabLine, match func(fstabLine) bool) (o converge.Object, old *fstabLine, err error) {
	o, err = changedLines(ctx, h, fstabFile, converge.File{Mode: "0644", Follow: true}, func(l *lines) error {
		put := want
		for i := 0; i < len(l.text); i++ {
			e, ok := parseFstabLine(l.text[i])
			if !ok || !match(e) {
				continue
			}
			if old == nil {
				old = &e
			}
			if put == nil {
				l.remove(i, i+1)
				i--
				continue
			}
			if e != *put {
				l.set(i, put.String())
			}
			put = nil
		}
		if put != nil {
			l.insert(len(l.text), put.String())
		}
		return nil
	})
	return o, old, err
}

// reloadMounts lets systemd, where it runs, make its units of fstab anew: those that it has would undo by and by what the file no longer says.
func reloadMounts(ctx context.Context, h transport.Host) error {
	fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: "/run/systemd/system", Follow: true})
	if err != nil || fi.Type != transport.Dir {
		return err
	}
	return daemonReload(ctx, h)
}
