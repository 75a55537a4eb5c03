package tables

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fabgo/transport"
)

// Mount is a line of /proc/self/mountinfo; Options are those of the mount and of its file system together.
type Mount struct {
	Dir, Source, FSType string
	Options             []string
}

// ParseMountinfo reads /proc/self/mountinfo (proc(5)). Of mounts stacked on one folder all are there, the visible one last.
func ParseMountinfo(b []byte) []Mount {
	var out []Mount
	lines(b, func(line string) {
		f := strings.Split(line, " ")
		dash := slices.Index(f, "-")
		if dash < 6 || len(f) < dash+4 {
			return
		}
		m := Mount{Dir: unescapeOctal(f[4]), FSType: unescapeOctal(f[dash+1]), Source: unescapeOctal(f[dash+2])}
		for _, o := range []string{f[5], f[dash+3]} {
			for opt := range strings.SplitSeq(unescapeOctal(o), ",") {
				if opt != "" && !slices.Contains(m.Options, opt) {
					m.Options = append(m.Options, opt)
				}
			}
		}
		// A read-only mount of a file system that is itself writable says both.
		if slices.Contains(m.Options, "ro") {
			m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "rw" })
		}
		out = append(out, m)
	})
	return out
}

// unescapeOctal undoes the kernel's \ooo for blanks, tabs, newlines and backslashes.
func unescapeOctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, ok := octal(s[i+1 : i+4]); ok {
				b.WriteByte(n)
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(s string) (byte, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '7' {
			return 0, false
		}
		n = n*8 + int(s[i]-'0')
	}
	return byte(n), n < 256
}

func lookupMounts(ctx context.Context, src Source, keys []transport.Text) (transport.Rows, error) {
	b, err := src.ReadFile(ctx, "/proc/self/mountinfo")
	if err != nil {
		if transport.KindOf(err) == transport.NotFound {
			return transport.Rows{}, unsupported("look up mounts", "is /proc mounted?", err)
		}
		return transport.Rows{}, err
	}
	byDir := map[transport.Text]transport.Row{}
	for _, m := range ParseMountinfo(b) {
		key := transport.Text(m.Dir)
		byDir[key] = transport.Row{Key: key, Fields: map[string]transport.Text{
			"source": transport.Text(m.Source), "fstype": transport.Text(m.FSType), "options": list(m.Options)}}
	}
	return pick(keys, func() (rows []transport.Row) {
		for _, row := range byDir {
			rows = append(rows, row)
		}
		return rows
	}, func(k transport.Text) (transport.Row, bool) {
		row, ok := byDir[k]
		return row, ok
	}), nil
}

// SysctlPath is the file of a kernel setting. As in sysctl(8), the separator that comes first separates, and the other one stands for
// itself: net.ipv4.conf.eth0/100.forwarding is of the interface eth0.100.
func SysctlPath(key string) (transport.Path, bool) {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		b := []byte(key)
		for i, c := range b {
			switch c {
			case '.':
				b[i] = '/'
			case '/':
				b[i] = '.'
			}
		}
		key = string(b)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 || strings.ContainsAny(part, "\x00\n") {
			return "", false
		}
	}
	return transport.Path("/proc/sys/" + key), true
}

func lookupSysctls(ctx context.Context, src Source, keys []transport.Text) (transport.Rows, error) {
	if len(keys) == 0 {
		return allSysctls(ctx, src)
	}
	out := transport.Rows{Rows: []transport.Row{}}
	for _, k := range keys {
		p, ok := SysctlPath(string(k))
		if !ok {
			continue
		}
		b, err := src.ReadFile(ctx, p)
		switch kind := transport.KindOf(err); {
		case kind == transport.NotFound || kind == transport.Refused: // Refused: a folder of settings is not a setting
			continue
		case err != nil:
			return transport.Rows{}, err
		}
		out.Rows = append(out.Rows, sysctlRow(string(k), string(b)))
	}
	return out, nil
}

func sysctlRow(key, value string) transport.Row {
	return transport.Row{Key: transport.Text(key), Fields: map[string]transport.Text{"value": transport.Text(strings.Join(strings.Fields(value), " "))}}
}

// allSysctls takes the word of sysctl(8), which knows what may be read without a side effect; a Native source does what that does.
func allSysctls(ctx context.Context, src Source) (transport.Rows, error) {
	var values map[string]string
	if n, ok := src.(Native); ok {
		values = map[string]string{}
		if err := walkSysctls(ctx, n, "/proc/sys", values); err != nil {
			return transport.Rows{}, err
		}
	} else {
		out, ok, err := observe(ctx, src, []string{"sysctl", "-a"})
		if err != nil {
			return transport.Rows{}, err
		}
		if !ok {
			return transport.Rows{}, unsupported("look up all kernel settings: there is no sysctl command", "install procps, or ask for settings by name", nil)
		}
		if values = ParseSysctl([]byte(out.Stdout)); len(values) == 0 && out.Code != 0 {
			return transport.Rows{}, &transport.Error{Kind: transport.IO, Stderr: out.Stderr,
				Message: fmt.Sprintf("look up all kernel settings: sysctl exited with %d: %s", out.Code, firstLine(string(out.Stderr)))}
		}
	}
	return pick(nil, func() (rows []transport.Row) {
		for k, v := range values {
			rows = append(rows, sysctlRow(k, v))
		}
		return rows
	}, nil), nil
}

// walkSysctls reads the settings below a folder. Some are only to be written; others refuse to be read for reasons of their own, or are
// gone meanwhile: as for sysctl(8), these are no settings.
func walkSysctls(ctx context.Context, n Native, folder transport.Path, values map[string]string) error {
	names, err := n.Names(ctx, folder)
	if err != nil {
		if folder == "/proc/sys" {
			return unsupported("look up all kernel settings", "is /proc mounted?", err)
		}
		return ctx.Err()
	}
	for _, name := range names {
		switch name {
		case "stat_refresh", "base_reachable_time", "retrans_time": // reading it is an act; the others are older names of settings
			continue
		}
		p := folder.Join(name)
		b, err := n.ReadFile(ctx, p)
		switch transport.KindOf(err) {
		case "":
			values[sysctlKey(p)] = string(b)
		case transport.Refused: // a folder
			if err := walkSysctls(ctx, n, p, values); err != nil {
				return err
			}
		case transport.Interrupted:
			return err
		}
	}
	return nil
}

// sysctlKey is the dotted name of a setting, the inverse of SysctlPath.
func sysctlKey(p transport.Path) string {
	b := []byte(strings.TrimPrefix(string(p), "/proc/sys/"))
	for i, c := range b {
		switch c {
		case '.':
			b[i] = '/'
		case '/':
			b[i] = '.'
		}
	}
	return string(b)
}

// ParseSysctl reads the output of `sysctl -a`. A setting of several lines is repeated there, a line each.
func ParseSysctl(b []byte) map[string]string {
	out := map[string]string{}
	lines(b, func(line string) {
		key, value, ok := strings.Cut(line, " = ")
		if !ok {
			if key, ok = strings.CutSuffix(line, " ="); !ok {
				return
			}
		}
		if old, again := out[key]; again {
			value = old + " " + value
		}
		out[key] = value
	})
	return out
}
