//go:build linux

package local_test

import (
	"fmt"
	"os"
	"testing"

	"fabgo/transport"
	"fabgo/transport/local"
)

// BenchmarkOps asks what a run without changes asks, warm.
func BenchmarkOps(b *testing.B) {
	h, err := local.New(local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	dir := transport.Path(b.TempDir())
	content := transport.String(string(make([]byte, 1000)))
	if err := os.WriteFile(string(dir.Join("f")), make([]byte, 1000), 0o644); err != nil {
		b.Fatal(err)
	}
	lookup := func(t transport.Table, keys ...string) transport.Op {
		return transport.Lookup{Table: t, Keys: transport.Texts(keys...)}
	}
	for _, bench := range []struct {
		name string
		op   transport.Op
	}{
		{"stat", transport.Stat{Path: dir.Join("f")}},
		{"stat-1k-digest", transport.Stat{Path: dir.Join("f"), Digest: true}},
		{"stat-1k-against", transport.Stat{Path: dir.Join("f"), Against: &content}},
		{"read-1k", transport.Read{Path: dir.Join("f")}},
		{"list-etc", transport.List{Path: "/etc"}},
		{"packages", lookup(transport.Packages, "dpkg", "nginx")},
		{"users", lookup(transport.Users, "root")},
		{"users-missing", lookup(transport.Users, "no-such-user")},
		{"groups", lookup(transport.Groups, "root")},
		{"mounts", lookup(transport.Mounts, "/")},
		{"sysctl", lookup(transport.Sysctls, "kernel.ostype")},
		{"unit", lookup(transport.Units, "basic.target")},
		{"units-10", lookup(transport.Units, "basic.target", "cron.service", "ssh.service", "dbus.service", "systemd-logind.service", "-.mount",
			"systemd-journald.service", "multi-user.target", "no-such.service", "apt-daily.timer")},
		{"exec-true", transport.Exec{Argv: transport.Texts("true")}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			if _, err := h.Do(b.Context(), bench.op); transport.KindOf(err) == transport.Unsupported {
				b.Skip(err)
			}
			for b.Loop() {
				if _, err := h.Do(b.Context(), bench.op); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWrite replaces a small file, and makes one anew. On a disk it is the disk that is measured: see TMPDIR.
func BenchmarkWrite(b *testing.B) {
	h, err := local.New(local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for name, dir := range map[string]string{"disk": b.TempDir(), "memory": "/dev/shm"} {
		p := transport.Path(dir).Join(fmt.Sprintf("fabgo-bench-%d", os.Getpid()))
		b.Cleanup(func() { _ = os.Remove(string(p)) })
		op := transport.Write{Path: p, Content: transport.String("hello, world\n"), Mode: "0644", Owner: transport.Text(fmt.Sprint(os.Geteuid()))}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := h.Do(b.Context(), op); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
