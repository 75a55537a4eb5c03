//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/internal/machines"
)

// TestMachineReboot: a bundle restarts its host and goes on behind that step, with all that it knew before, wherever it is evaluated.
func TestMachineReboot(t *testing.T) {
	m := machines.Boot(t, 1)[0]
	for _, where := range []string{"target", "controller"} {
		t.Run(where, func(t *testing.T) {
			w := newWorld(t)
			w.file("web1.star", `
def main():
    file.put("/etc/before", content = "`+where+`\n")
    before = query("cat /proc/sys/kernel/random/boot_id").stdout
    at_end(lambda: note("the end"))
    if host.reboot(wait = 120):
        note("it was restarted")
    after = query("cat /proc/sys/kernel/random/boot_id").stdout
    if before == after:
        fail("the machine was not restarted")
    file.put("/etc/after", content = before + after)
    host.reboot(only_if_required = True)
`)
			uptime := m.SSH(t, "cat /proc/sys/kernel/random/boot_id")
			args := []string{"-H", "root@" + m.Addr, "--identity", m.KeyFile, "--known-hosts", m.KnownHostsFile, "--evaluate", where, "web1.star"}
			out := w.output(append([]string{"run"}, args...)...)
			for _, want := range []string{"changed  host.reboot", "it was restarted", "changed  file.put /etc/after", "1 skipped", "the end"} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if n := strings.Count(out, "file.put /etc/before"); n != 1 {
				t.Errorf("the step before the restart is told %d times:\n%s", n, out)
			}
			ids, err := os.ReadFile(filepath.Join(m.Root, "etc/after"))
			if err != nil {
				t.Fatal(err)
			}
			if now := m.SSH(t, "cat /proc/sys/kernel/random/boot_id"); string(ids) != uptime+now || now == uptime {
				t.Errorf("boots %q, %q; the bundle saw %q", uptime, now, ids)
			}
			if got := w.output("replay", "last"); !strings.Contains(got, "ok again, with the same") {
				t.Errorf("replay: %s", got)
			}
		})
	}
}
