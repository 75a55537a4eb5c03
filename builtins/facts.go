package builtins

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"fabgo/transport"
)

// Fact documents one attribute of host.
type Fact struct {
	Name string
	Type string
	Doc  string
}

// Facts lists the attributes of host.
func Facts() []Fact {
	out := make([]Fact, len(facts))
	for i, f := range facts {
		out[i] = f.Fact
	}
	return out
}

func factNames() []string {
	out := make([]string, len(facts))
	for i, f := range facts {
		out[i] = f.Name
	}
	return out
}

type factSource struct {
	Fact
	static func(rt *Runtime) starlark.Value                                    // known without asking the host
	probe  func(ctx context.Context, h transport.Host) (starlark.Value, error) // else
}

var facts = []factSource{
	{Fact{"address", "string", "address and port of the connection, \"local\" for @local"}, func(rt *Runtime) starlark.Value { return starlark.String(rt.Session.Address) }, nil},
	{Fact{"arch", "string", "processor in Debian's words: amd64, arm64, armhf, i386, riscv64, ...; else what uname -m says"}, nil, probeArch},
	{Fact{"cpus", "int", "processors that are online"}, nil, probeCPUs},
	{Fact{"hostname", "string", "what the host calls itself (uname -n)"}, nil, unamePart(0)},
	{Fact{"init", "string", "init system that runs: systemd, openrc or other"}, nil, probeInit},
	{Fact{"interfaces", "list", "network interfaces: structs with name, mac (\"\" when it has none), up (bool) and addresses (list of strings such as \"10.0.0.5/24\")"}, nil, probeInterfaces},
	{Fact{"kernel", "string", "kernel release (uname -r)"}, nil, unamePart(1)},
	{Fact{"memory", "int", "usable memory, bytes"}, nil, probeMemory},
	{Fact{"name", "string", "name of the host as it was given on the command line or comes from the bundle"}, func(rt *Runtime) starlark.Value { return starlark.String(rt.Session.Name) }, nil},
	{Fact{"os", "struct", "operating system from os-release: id (\"debian\"), version (\"12\", \"\" for testing), codename (\"bookworm\"), family (debian, redhat, suse, arch, alpine, else the id), name (for people)"}, nil, probeOS},
	{Fact{"user", "string", "user that fabgo logs in as; see also acting"}, func(rt *Runtime) starlark.Value { return starlark.String(rt.Session.User) }, nil},
	{Fact{"acting", "string", "user that steps act as: root after sudo"}, func(rt *Runtime) starlark.Value { return starlark.String(rt.Session.Acting) }, nil},
}

// hostValue is the name host in bundles: facts, probed when they are first read and again after an opaque change.
type hostValue struct{ rt *Runtime }

var _ starlark.HasAttrs = hostValue{}

func (h hostValue) String() string        { return "<host " + h.rt.Session.Name + ">" }
func (h hostValue) Type() string          { return "host" }
func (h hostValue) Freeze()               {}
func (h hostValue) Truth() starlark.Bool  { return true }
func (h hostValue) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: host") }

func (h hostValue) AttrNames() []string {
	return append(factNames(), "reboot")
}

func (h hostValue) Attr(name string) (starlark.Value, error) {
	if f := h.rt.Interp.Function("host." + name); f != nil {
		return f, nil
	}
	for _, f := range facts {
		if f.Name != name {
			continue
		}
		if f.static != nil {
			return f.static(h.rt), nil
		}
		return h.rt.fact(name, f.probe)
	}
	return nil, nil
}

// fact answers from what was probed since the last opaque change, else probes.
func (rt *Runtime) fact(name string, probe func(context.Context, transport.Host) (starlark.Value, error)) (starlark.Value, error) {
	if f, ok := rt.facts[name]; ok && f.generation == rt.Session.Generation() {
		return f.value, nil
	}
	var v starlark.Value
	err := rt.Session.Observe(rt.step("host."+name), "", func(ctx context.Context, h transport.Host) (err error) {
		v, err = probe(ctx, h)
		return err
	})
	if err != nil {
		return nil, err
	}
	if rt.facts == nil {
		rt.facts = map[string]fact{}
	}
	v.Freeze()
	rt.facts[name] = fact{rt.Session.Generation(), v}
	return v, nil
}

func ask(ctx context.Context, h transport.Host, argv ...string) (string, error) {
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(argv...)})
	if err != nil {
		return "", err
	}
	if out.Code != 0 {
		return "", &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("%s: exit code %d", strings.Join(argv, " "), out.Code), Stderr: out.Stderr}
	}
	return string(out.Stdout), nil
}

// unamePart takes a field of uname -n -r -m, which prints them in this order.
func unamePart(n int) func(context.Context, transport.Host) (starlark.Value, error) {
	return func(ctx context.Context, h transport.Host) (starlark.Value, error) {
		out, err := ask(ctx, h, "uname", "-n", "-r", "-m")
		if err != nil {
			return nil, err
		}
		fields := strings.Fields(out)
		if len(fields) != 3 {
			return nil, fmt.Errorf("uname -n -r -m: cannot read %q", out)
		}
		return starlark.String(fields[n]), nil
	}
}

var debianArch = map[string]string{
	"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "armv6l": "armel", "i686": "i386", "i586": "i386", "ppc64le": "ppc64el",
	"loongarch64": "loong64", "mips64": "mips64el",
}

func probeArch(ctx context.Context, h transport.Host) (starlark.Value, error) {
	m, err := unamePart(2)(ctx, h)
	if err != nil {
		return nil, err
	}
	s := string(m.(starlark.String))
	if d, ok := debianArch[s]; ok {
		s = d
	}
	return starlark.String(s), nil
}

func probeCPUs(ctx context.Context, h transport.Host) (starlark.Value, error) {
	out, err := ask(ctx, h, "getconf", "_NPROCESSORS_ONLN")
	if err != nil {
		if out, err = ask(ctx, h, "nproc"); err != nil {
			return nil, err
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(out))
	return starlark.MakeInt(n), err
}

func probeMemory(ctx context.Context, h transport.Host) (starlark.Value, error) {
	out, err := ask(ctx, h, "cat", "/proc/meminfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return starlark.MakeInt64(kb * 1024), err
		}
	}
	return nil, fmt.Errorf("/proc/meminfo has no MemTotal")
}

func probeInit(ctx context.Context, h transport.Host) (starlark.Value, error) {
	for _, c := range []struct{ path, name string }{{"/run/systemd/system", "systemd"}, {"/run/openrc", "openrc"}} {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: transport.Path(c.path), Follow: true})
		if err != nil {
			return nil, err
		}
		if fi.Type == transport.Dir {
			return starlark.String(c.name), nil
		}
	}
	return starlark.String("other"), nil
}

func probeOS(ctx context.Context, h transport.Host) (starlark.Value, error) {
	data, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: "/etc/os-release"})
	if err != nil {
		return nil, err
	}
	b, err := data.Content.ReadAll(transport.ReadLimit)
	if err != nil {
		return nil, err
	}
	f := parseOSRelease(string(b))
	s := func(k string) starlark.Value { return starlark.String(f[k]) }
	return starlarkstruct.FromStringDict(starlark.String("os"), starlark.StringDict{
		"id": s("ID"), "version": s("VERSION_ID"), "codename": s("VERSION_CODENAME"), "name": s("PRETTY_NAME"), "family": starlark.String(familyOf(f["ID"], f["ID_LIKE"])),
	}), nil
}

// parseOSRelease reads KEY=value lines as os-release(5) describes them: shell quoting, comments, blank lines.
func parseOSRelease(text string) map[string]string {
	out := map[string]string{"ID": "linux"}
	sc := bufio.NewScanner(strings.NewReader(text))
	for sc.Scan() {
		k, v, ok := strings.Cut(strings.TrimSpace(sc.Text()), "=")
		if !ok || strings.HasPrefix(k, "#") {
			continue
		}
		if n := len(v); n >= 2 && (v[0] == '"' || v[0] == '\'') && v[n-1] == v[0] {
			quote := v[0]
			v = v[1 : n-1]
			if quote == '"' {
				v = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\$`, `$`, "\\`", "`").Replace(v)
			}
		}
		out[k] = v
	}
	return out
}

func familyOf(id, like string) string {
	for _, w := range append([]string{id}, strings.Fields(like)...) {
		switch w {
		case "debian", "ubuntu":
			return "debian"
		case "rhel", "fedora", "centos":
			return "redhat"
		case "suse", "opensuse", "sles":
			return "suse"
		case "arch", "alpine":
			return w
		}
	}
	return id
}
