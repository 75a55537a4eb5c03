package helper

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// leaveDelay is how long a run has to last before it is moved: most are over sooner, and none is touched by logind while its SSH session lives.
const leaveDelay = 100 * time.Millisecond

// leaveSession moves processes out of the scope of the SSH session into one of their own. logind with KillUserProcesses=yes ends everything in the
// scope of a session that is over, whatever session(7) a process is in. Only root may; where it does not work the run stays where it is.
func leaveSession(pids ...int) error {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || os.Geteuid() != 0 || !strings.Contains(string(own), "/session-") {
		return nil // of no session, or not ours to change
	}
	bus, err := dbus.ConnectSystemBus()
	if err != nil {
		return err
	}
	defer bus.Close()
	type property struct {
		Name  string
		Value dbus.Variant
	}
	type unit struct {
		Name       string
		Properties []property
	}
	list := make([]uint32, len(pids))
	for i, p := range pids {
		list[i] = uint32(p)
	}
	// Interface and properties: org.freedesktop.systemd1(5).
	return bus.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1").Call("org.freedesktop.systemd1.Manager.StartTransientUnit", 0,
		fmt.Sprintf("fabgo-%d.scope", os.Getpid()), "fail",
		[]property{
			{"Description", dbus.MakeVariant("a run of fabgo")},
			{"PIDs", dbus.MakeVariant(list)},
			{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
		}, []unit{}).Err
}
