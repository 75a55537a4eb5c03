//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/internal/machines"
)

// TestMachineKillUserProcesses: logind ends all processes of a session that is over, but not a run that was begun in it.
func TestMachineKillUserProcesses(t *testing.T) {
	m := machines.Boot(t, 1)[0]
	m.SSH(t, "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libpam-systemd dbus >/dev/null 2>&1")
	m.SSH(t, `mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\nKillUserProcesses=yes\nKillExcludeUsers=\n' >/etc/systemd/logind.conf.d/kill.conf
systemctl restart systemd-logind`)
	w := newWorld(t)
	// The command ends when the test has killed its session, or logind has killed it.
	w.file("web1.star", `
def main():
    run("while ! systemctl is-active --quiet 'fabgo-*.scope'; do sleep 0.1; done; touch /run/moved")
    run("while ! [ -e /run/killed ]; do sleep 0.1; done", timeout = 60)
    file.put("/etc/after", content = "after\n")
`)
	p := w.start("run", "-H", "root@"+m.Addr, "--identity", m.KeyFile, "--known-hosts", m.KnownHostsFile, "web1.star")
	m.SSH(t, "while ! [ -e /run/moved ]; do sleep 0.1; done")
	session := strings.TrimSpace(m.SSH(t, "loginctl list-sessions --no-legend | awk '{print $1}' | head -1"))
	// Processes in other scopes are not the session's: it is over when the process that leads it is.
	m.SSH(t, "loginctl terminate-session "+session+"; touch /run/killed")
	p.exits(exitOK)
	if _, err := os.Stat(filepath.Join(m.Root, "etc/after")); err != nil {
		t.Errorf("%v\n%s%s", err, p.stdout.String(), p.stderr.String())
	}
	if !strings.Contains(p.stderr.String(), "connecting again") {
		t.Errorf("the session was not ended:\n%s", p.stderr.String())
	}
}
