//go:build linux

package wire

import (
	"os"
	"testing"
	"time"

	"fabgo/transport"
	"fabgo/transport/hosttest"
	"fabgo/transport/local"
)

// TestConformance runs the suite against this machine behind one pipe and, as the product has it, behind two: evaluator, owner, machine.
func TestConformance(t *testing.T) {
	for _, tt := range []struct {
		name string
		ends func(t testing.TB, a, b Options) (*Conn, *Conn)
		hops int
	}{{"Pipe", join, 1}, {"Unbuffered", joinSync, 1}, {"Chain", join, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			hosttest.Run(t, func(t *testing.T) hosttest.Target {
				machine, err := local.New(local.Options{Grace: 300 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				var h transport.Host = machine
				for range tt.hops {
					h, _ = tt.ends(t, Options{}, Options{Host: h})
				}
				target := hosttest.Target{Host: h, Root: transport.Path(t.TempDir()), AsRoot: os.Geteuid() == 0, Processes: true, Slow: tt.name != "Chain"}
				if target.AsRoot {
					target.Other = "daemon"
				}
				return target.Machine(t, true)
			})
		})
	}
}
