package tables

import (
	"context"
	"slices"
	"strings"

	"fabgo/transport"
)

// ParseNsswitch reads /etc/nsswitch.conf: the services of each database, without what is in brackets about their failures.
func ParseNsswitch(b []byte) map[string][]string {
	out := map[string][]string{}
	lines(b, func(line string) {
		line, _, _ = strings.Cut(line, "#")
		database, rest, ok := strings.Cut(line, ":")
		if !ok {
			return
		}
		for {
			before, after, ok := strings.Cut(rest, "[")
			if !ok {
				break
			}
			_, after, _ = strings.Cut(after, "]")
			rest = before + " " + after
		}
		out[strings.TrimSpace(database)] = strings.Fields(rest)
	})
	return out
}

// getent asks the name service for keys, all in one command. It exits with 2 when some of them are unknown, and still prints the
// others. A host without getent has files only. Keys that no account can have are not asked for, and where the name service cannot know
// more than the files, nobody is asked.
func (r *Reader) getent(ctx context.Context, database string, keys []transport.Text) ([]byte, error) {
	argv := []string{"getent", "--", database}
	for _, k := range keys {
		if k != "" && !strings.ContainsAny(string(k), ":\n\x00") {
			argv = append(argv, string(k))
		}
	}
	if len(argv) == 3 {
		return nil, nil
	}
	if n, ok := r.src.(Native); ok {
		only, err := r.onlyFiles(ctx, n, database, argv[3:])
		if err != nil || only {
			return nil, err
		}
	}
	out, ok, err := observe(ctx, r.src, argv)
	if err != nil || !ok {
		return nil, err
	}
	return []byte(out.Stdout), nil
}

// onlyFiles reports whether the name service has nothing to say about keys that the files lack. Without a configuration the C library
// asks the files.
func (r *Reader) onlyFiles(ctx context.Context, n Native, database string, keys []string) (bool, error) {
	databases, err := r.services.getOr(ctx, n, "/etc/nsswitch.conf", ParseNsswitch)
	if err != nil {
		return false, err
	}
	for _, s := range databases[database] {
		switch {
		case s == "files":
		case s == "systemd" && !slices.ContainsFunc(keys, synthesized) && silentUserdb(ctx, n):
		default:
			return false, nil
		}
	}
	return true, nil
}

// synthesized are the accounts that nss-systemd knows without asking anybody.
func synthesized(key string) bool {
	switch canonicalID(key) {
	case "root", "nobody", "nogroup", "0", "65534":
		return true
	}
	return false
}

// silentUserdb reports whether the service "systemd" of the name service, which is there by default on Debian, has no accounts: nobody
// answers for it but systemd itself, which knows the dynamic users of running services, and there are none of these.
func silentUserdb(ctx context.Context, n Native) bool {
	empty := func(folder transport.Path, but func(name string) bool) bool {
		names, err := n.Names(ctx, folder)
		return transport.KindOf(err) == transport.NotFound || err == nil && !slices.ContainsFunc(names, func(s string) bool { return !but(s) })
	}
	none := func(string) bool { return false }
	return empty("/run/systemd/userdb", func(name string) bool {
		switch name { // those who answer for systemd, for the name service, for records in the folders below, or ask all the others
		case "io.systemd.DynamicUser", "io.systemd.NameServiceSwitch", "io.systemd.DropIn", "io.systemd.Multiplexer":
			return true
		}
		return false
	}) && empty("/run/systemd/dynamic-uid", func(name string) bool { return !strings.HasPrefix(name, "direct:") }) &&
		empty("/etc/userdb", none) && empty("/run/userdb", none) && empty("/run/host/userdb", none) && empty("/usr/lib/userdb", none) &&
		empty("/usr/local/lib/userdb", none)
}
