package builtins

import (
	"testing"

	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// TestTimerUnits: every option of systemd.timer is a line of one of its two units.
func TestTimerUnits(t *testing.T) {
	f := fake.New(fake.Options{})
	s := newStage(t, f)
	s.run(`systemd.timer("full", command = ["/bin/echo", "a b", "100%"], calendar = "02:30", user = "app", group = "adm", cwd = "/srv/100%", env = {"A": "x"},
    description = "Full", random_delay = "10m", accuracy = "1s", timeout = "90s")
systemd.timer("plain", command = "echo $HOME", every = "15m", on_boot = 60)
systemd.timer("late", command = ["/bin/true"], calendar = "daily", persistent = False)
`).ok()
	for name, want := range map[string]string{
		"full.service":  "[Unit]\nDescription=Full\n\n[Service]\nType=oneshot\nUser=app\nGroup=adm\nWorkingDirectory=/srv/100%%\nEnvironment=\"A=x\"\nTimeoutStartSec=90s\nExecStart=\"/bin/echo\" \"a b\" \"100%%\"\n",
		"full.timer":    "[Unit]\nDescription=Full\n\n[Timer]\nOnCalendar=02:30\nPersistent=true\nRandomizedDelaySec=600s\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n",
		"plain.service": "[Unit]\nDescription=echo $HOME\n\n[Service]\nType=oneshot\nExecStart=\"/bin/sh\" \"-c\" \"echo $$HOME\"\n",
		"plain.timer":   "[Unit]\nDescription=echo $HOME\n\n[Timer]\nOnUnitActiveSec=900s\nOnBootSec=60s\n\n[Install]\nWantedBy=timers.target\n",
		"late.timer":    "[Unit]\nDescription=/bin/true\n\n[Timer]\nOnCalendar=daily\n\n[Install]\nWantedBy=timers.target\n",
	} {
		if got, ok := f.ReadFile(transport.Path("/etc/systemd/system/" + name)); !ok || got != want {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
		}
	}
}
