package builtins

import (
	"os"
	"testing"

	"fabgo/internal/journal"
)

// TestMachineApt: what needs systemd: another apt that runs beside us, and a package whose service does not start.
func TestMachineApt(t *testing.T) {
	s, a := newMachine(t), newArchive(t)
	put := func(d deb) string {
		b, err := os.ReadFile(a.build(d))
		if err != nil {
			t.Fatal(err)
		}
		s.write(d.name+".deb", string(b))
		return `file.put("/root/` + d.name + `.deb", src = "` + d.name + `.deb")` + "\n"
	}
	s.run(put(deb{name: "slow-a", version: "1.0", scripts: map[string]string{"postinst": "touch /run/slow; sleep 6\n"}}) +
		put(deb{name: "quick-a", version: "1.0"}) + `
run(["systemd-run", "apt-get", "-y", "install", "/root/slow-a.deb"])
run("until test -e /run/slow; do sleep 0.2; done", timeout = "60s")`).ok()
	s.run(`apt.deb("/root/quick-a.deb", lock_timeout = "2m")`).ok().says("the packages are locked by apt-get (process ", "package:quick-a.deb changed")

	s.run(put(deb{name: "dead-a", version: "1.0",
		files:   map[string]string{"lib/systemd/system/dead-a.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo the port is taken; exit 3'\n"},
		scripts: map[string]string{"postinst": "systemctl daemon-reload; systemctl start dead-a.service\n"}})).ok()
	s.run(`apt.deb("/root/dead-a.deb")`).fails(journal.Broken, "the port is taken")
}
