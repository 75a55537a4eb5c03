package converge

import (
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// mounts lets something else be seen in a folder.
type mounts struct {
	files
	folder transport.Path
}

func (m mounts) Conceals([]Pair) []Object { return []Object{{Key: FileKey(m.folder)}} }

// TestConceals: of what a step hides in a plan nothing is known, neither what stood there nor what did not; all else is.
func TestConceals(t *testing.T) {
	f := fake.New(fake.Options{})
	f.WriteFile("/srv/old", "x", "0644")
	s, m := newSession(t, f, journal.Planning)
	if _, err := s.Converge(Step{Builtin: "test"}, mounts{files{want: []Object{{Key: Key{transport.Mounts, "/srv"}, Fields: map[string]transport.Text{"source": "x"}}}}, "/srv"}); err != nil || m.end(t).Status != journal.Changed {
		t.Fatalf("%+v, %v", m.end(t), err)
	}
	for p, unknown := range map[transport.Path]bool{"/srv": true, "/srv/old": true, "/srv/new": true, "/srvx": false, "/etc/hostname": false} {
		if _, err := s.host.Do(t.Context(), transport.Stat{Path: p}); (CauseOf(err) != nil) != unknown {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestScopeOfTheKernel(t *testing.T) {
	for k, want := range map[Key]bool{
		{transport.Sysctls, "net.x"}: true, FileKey("/sys/module/x"): true, FileKey("/dev/x"): true, FileKey("/proc/sys/x"): true,
		FileKey("/etc/x"): false, FileKey("/system"): false, {transport.Packages, "x"}: false, {transport.Units, "x.service"}: false,
	} {
		if got := (Scope{Kernel: true}).covers(k); got != want {
			t.Errorf("%s: got %v", k, got)
		}
	}
}
