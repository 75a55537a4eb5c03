//go:build linux

package sandbox

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeep(t *testing.T) {
	needRoot(t)
	o := Options{Keep: true, Name: "web1", StateDir: filepath.Join(t.TempDir(), "state")}
	t.Cleanup(func() {
		if err := Remove(o); err != nil {
			t.Errorf("remove: %v", err)
		}
	})
	first := start(t, o)
	first.want(t, "echo kept > /etc/fabgo-kept; setsid sleep 31557603 >/dev/null 2>&1 </dev/null & hostname", "sandbox\n")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if first.Rejoined {
		t.Error("the first start joined something")
	}

	second := start(t, o)
	if !second.Rejoined || second.Addr != first.Addr {
		t.Errorf("second start: %+v", second)
	}
	second.want(t, "cat /etc/fabgo-kept", "kept\n")
	other := o
	other.Name = "web2"
	third := start(t, other)
	third.want(t, "cat /etc/fabgo-kept 2>/dev/null; hostname", "sandbox\n")
	if err := Remove(other); err != nil {
		t.Error(err)
	}
	for _, f := range []string{"", "web1", "web1/state.json"} {
		st, err := os.Stat(filepath.Join(o.StateDir, f))
		if err != nil || st.Mode()&0o077 != 0 {
			t.Errorf("%s: %v, %v", f, st.Mode(), err)
		}
	}

	if err := Remove(o); err != nil {
		t.Fatal(err)
	}
	if left := processes(t, "31557603"); len(left) > 0 {
		t.Errorf("processes that outlived the sandbox: %v", left)
	}
	if _, err := os.Stat(filepath.Join(o.StateDir, "web1")); !os.IsNotExist(err) {
		t.Errorf("state after remove: %v", err)
	}
	fourth := start(t, o)
	if fourth.Rejoined {
		t.Error("joined what was removed")
	}
	fourth.want(t, "cat /etc/fabgo-kept 2>/dev/null; hostname", "sandbox\n")

	// The process is gone and its id belongs to another, here to ourselves.
	k, err := readKept(filepath.Join(o.StateDir, "web1"))
	if err != nil || !k.alive() {
		t.Fatalf("state: %+v, %v", k, err)
	}
	if err := k.kill(); err != nil {
		t.Fatal(err)
	}
	k.Pid = os.Getpid()
	if k.alive() {
		t.Error("took another process for the sandbox")
	}
	if err := k.write(filepath.Join(o.StateDir, "web1")); err != nil {
		t.Fatal(err)
	}
	if fifth := start(t, o); fifth.Rejoined {
		t.Error("joined a dead sandbox")
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{".", "..", "a/b", ".x", "a\x00"} {
		if err := Remove(Options{Name: name, StateDir: t.TempDir()}); err == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
}
