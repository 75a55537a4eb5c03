package report

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOnTerminal asks a real pseudo-terminal.
func TestOnTerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	defer tty.Close()
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 73}); err != nil {
		t.Fatal(err)
	}
	if !IsTerminal(tty) || widthOf(tty) != 73 {
		t.Errorf("terminal: %v, width %d", IsTerminal(tty), widthOf(tty))
	}
	for key, want := range map[string]bool{"": true, "NO_COLOR=1": false, "TERM=dumb": false, "CLICOLOR=0": false, "CLICOLOR=1": true} {
		env := func(k string) string {
			if len(key) > len(k) && key[:len(k)+1] == k+"=" {
				return key[len(k)+1:]
			}
			return ""
		}
		if got := ColorFor(tty, env); got != want {
			t.Errorf("%q: got %v", key, got)
		}
	}
}
