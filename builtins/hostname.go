package builtins

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func hostnameNatives() starlark.StringDict { return native("hostname.set", hostnameSet) }

type hostnameArgs struct {
	common
	Name  string         `arg:"name"`
	Hosts starlark.Value `arg:"hosts"`
}

// address is what /etc/hosts is to say that the name means; "" leaves the file alone.
func (a hostnameArgs) address() (string, error) {
	switch v := a.Hosts.(type) {
	case nil:
		return "", nil
	case starlark.Bool:
		if v {
			return "127.0.1.1", nil // Debian's, for machines without a fixed address
		}
		return "", nil
	case starlark.String:
		ip, err := netip.ParseAddr(string(v))
		if err == nil && ip.Zone() == "" && ip.IsLoopback() && ip.String() != "127.0.1.1" {
			return "", fmt.Errorf("hosts: %q belongs to localhost", string(v))
		}
		if err == nil && ip.Zone() == "" {
			return ip.String(), nil
		}
	}
	return "", fmt.Errorf("hosts: %w", mismatch(a.Hosts, "True, or an address such as \"10.0.0.5\""))
}

// checkHostname holds a name to RFC 1123 and to what the kernel takes.
func checkHostname(name string) error {
	if len(name) > 64 {
		return fmt.Errorf("name: %q has %d bytes, the kernel takes 64", name, len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		bad := strings.IndexFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
		})
		if label == "" || len(label) > 63 || bad >= 0 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("name: %q is no name of a host: want letters, digits and \"-\", divided by dots", name)
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Errorf("name: %q is an address", name)
	}
	return nil
}

func hostnameSet(c *call, a hostnameArgs) (starlark.Value, error) {
	if err := checkHostname(a.Name); err != nil {
		return nil, fmt.Errorf("hostname.set: %w", err)
	}
	address, err := a.address()
	if err != nil {
		return nil, fmt.Errorf("hostname.set: %w", err)
	}
	return c.converge(&hostname{a.Name, address})
}

// hostname is what the machine calls itself: now, and when it starts anew.
type hostname struct{ name, address string }

func (r *hostname) Name() string { return "hostname:" + r.name }

// Opaque lets facts that were read before be asked for again.
func (r *hostname) Opaque() converge.Scope { return converge.Scope{Kernel: true} }

const (
	hostnameFile = transport.Path("/etc/hostname")
	hostsFile    = transport.Path("/etc/hosts")
)

var liveHostname = converge.Key{Table: transport.Sysctls, Name: "kernel.hostname"}

func (r *hostname) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	content := transport.String(r.name + "\n")
	want := []converge.Object{
		{Key: liveHostname, Fields: map[string]transport.Text{"value": transport.Text(r.name)}},
		{Key: converge.FileKey(hostnameFile), File: &converge.File{Type: transport.Regular, Content: &content, Mode: "0644", Follow: true}},
	}
	if r.address == "" {
		return want, nil
	}
	hosts, err := changedLines(ctx, h, hostsFile, converge.File{Mode: "0644", Follow: true}, r.editHosts)
	return append(want, hosts), err
}

// editHosts gives the address the name and the short one, and no others. The line of 127.0.1.1, which stands in for an address, gives way to one.
func (r *hostname) editHosts(l *lines) error {
	names := []string{r.name}
	if short, _, more := strings.Cut(r.name, "."); more {
		names = append(names, short)
	}
	line := r.address + "\t" + strings.Join(names, " ")
	at, after := -1, -1
	for i := 0; i < len(l.text); i++ {
		text, _, _ := strings.Cut(l.text[i], "#")
		f := strings.Fields(text)
		if len(f) == 0 {
			continue
		}
		ip, err := netip.ParseAddr(f[0])
		switch {
		case err != nil:
		case ip.String() == r.address && at < 0:
			at = i
		case ip.String() == r.address, ip.String() == "127.0.1.1":
			l.remove(i, i+1)
			i--
		case ip.IsLoopback():
			after = i
		}
	}
	switch {
	case at < 0:
		l.insert(after+1, line)
	case !sameFields(l.text[at], line):
		l.set(at, line)
	}
	return nil
}

func sameFields(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}

func (r *hostname) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	for _, p := range delta {
		var err error
		if p.Want.Key == liveHostname {
			err = change(ctx, h, "only root names a machine; a container may not be allowed to", nil, "hostname", r.name)
		} else {
			err = converge.ApplyFile(ctx, h, p, converge.FileOptions{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
