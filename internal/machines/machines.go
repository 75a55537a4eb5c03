// Package machines boots real Debian machines for tests: systemd, OpenSSH, apt, each on a disk of its own.
//
// The rule: a test that wants a machine calls Need first, and plain `go test ./...` boots none; FABGO_MACHINES=1 (make machines-test)
// asks for them. Then everything that is missing is a failure: a run that was asked for machines must not pass for want of them.
//
// The trap: the machines share the network of this machine. What listens on machine N has to listen on 127.0.1.N, or two machines that
// run it collide; a port bound to all addresses is bound on this machine.
//
// The promise: machines end with the test that booted them, and when the test process dies in any way. No process, mount or disk is left.
//
// The work is done by testdata/machines/machines, which is also the way to have a machine by hand (docs/testing.md).
package machines

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Bounds. Booting takes about two seconds; the first one of all builds the base root from the network.
const (
	bootLimit    = 8 * time.Minute
	commandLimit = 5 * time.Minute
	stopLimit    = time.Minute
)

// Machine is a Debian machine that is up. Its accounts, all opened by KeyFile: root; deploy (sudo without a password); pwuser (sudo with
// the password PasswordOfPwuser); noshell (nologin as its shell); locked; expired (the password has to be changed first).
type Machine struct {
	Number         int
	Addr           string // host:port of its OpenSSH server
	User           string // root
	KeyFile        string // private key, not encrypted
	KnownHostsFile string // its host keys, of three types; Fresh changes them
	Root           string // its root as seen on this machine; absolute symlinks in it point outside

	script string
}

// PasswordOfPwuser is what sudo asks pwuser for. It has a space, for those who forget quoting.
const PasswordOfPwuser = "s3cret pw"

// Host is the address without the port: where services of this machine should listen.
func (m *Machine) Host() string {
	host, _, _ := net.SplitHostPort(m.Addr)
	return host
}

// Build makes fabgo into a file, as make build does: without the race detector and the tests that the test's own binary carries.
func Build(t testing.TB, file string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=test", "-o", file, "fabgo/cmd/fabgo")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build fabgo: %v\n%s", err, out)
	}
}

// Need skips the test unless machines are asked for, and fails it when they are and this machine cannot have them. The name of the test
// has to contain "Machine": by that `make machines-test` chooses tests.
func Need(tb testing.TB) {
	tb.Helper()
	if !strings.Contains(tb.Name(), "Machine") {
		tb.Fatalf("%s wants real machines, but make machines-test runs only tests with Machine in their names", tb.Name())
	}
	if os.Getenv("FABGO_MACHINES") != "1" {
		tb.Skip("needs real machines, which only FABGO_MACHINES=1 boots (make machines-test)")
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		tb.Fatalf("FABGO_MACHINES=1 asks for real machines: they need Linux and root, this is %s with user id %d", runtime.GOOS, os.Geteuid())
	}
}

// Boot boots n machines on free addresses and stops them when the test has ended. It calls Need.
func Boot(tb testing.TB, n int) []*Machine {
	tb.Helper()
	Need(tb)
	script, err := find()
	if err != nil {
		tb.Fatal(err)
	}
	// The keeper of the machines lives as long as its stdin is open: the kernel closes it even if this process is killed.
	keeper := exec.Command(script, "hold", strconv.Itoa(n))
	keeper.WaitDelay = stopLimit
	var said strings.Builder
	keeper.Stderr = &said
	stdin, err := keeper.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := keeper.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := keeper.Start(); err != nil {
		tb.Fatalf("boot %d machines: %v", n, err)
	}
	// Whatever goes wrong from here on, Wait comes first and its reason is in what the keeper said.
	stop := func() error {
		stdin.Close()
		limit := time.AfterFunc(stopLimit, func() { keeper.Process.Kill() })
		defer limit.Stop()
		return keeper.Wait()
	}
	limit := time.AfterFunc(bootLimit, func() { keeper.Process.Kill() })
	numbers, err := readNumbers(stdout)
	if !limit.Stop() {
		err = fmt.Errorf("not ready after %s", bootLimit)
	}
	if err == nil && len(numbers) != n {
		err = fmt.Errorf("%d machines came", len(numbers))
	}
	if err != nil {
		err = errors.Join(err, stop())
		tb.Fatalf("boot %d machines: %v\n%s", n, err, said.String())
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("stop the machines: %v\n%s", err, said.String())
		}
	})

	ms := make([]*Machine, n)
	for i, number := range numbers {
		m, err := describe(script, number)
		if err != nil {
			tb.Fatal(err)
		}
		ms[i] = m
	}
	return ms
}

// readNumbers reads the numbers of the machines, one a line, until "ready".
func readNumbers(r io.Reader) ([]int, error) {
	var numbers []int
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return numbers, nil
		}
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("read the numbers of the machines: %w", err)
		}
		numbers = append(numbers, n)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the numbers of the machines: %w", err)
	}
	return nil, errors.New("the machines ended before they were ready")
}

func describe(script string, number int) (*Machine, error) {
	m := &Machine{Number: number, User: "root", script: script}
	for field, args := range map[*string][]string{
		&m.Addr:           {"address", strconv.Itoa(number)},
		&m.KeyFile:        {"key"},
		&m.KnownHostsFile: {"known-hosts-file", strconv.Itoa(number)},
		&m.Root:           {"root", strconv.Itoa(number)},
	} {
		out, err := exec.Command(script, args...).Output()
		if err != nil {
			return nil, fmt.Errorf("ask about machine %d: %s: %w", number, strings.Join(args, " "), withStderr(err))
		}
		*field = strings.TrimSpace(string(out))
	}
	return m, nil
}

// SSH runs a command on the machine as root with the system's ssh, not fabgo's, and returns its standard output; anything but success
// ends the test. One argument is a command line for the shell; several are an argument vector.
func (m *Machine) SSH(tb testing.TB, cmd ...string) string {
	tb.Helper()
	line := cmd[0]
	if len(cmd) > 1 {
		quoted := make([]string, len(cmd))
		for i, arg := range cmd {
			quoted[i] = quote(arg)
		}
		line = strings.Join(quoted, " ")
	}
	return m.call(tb, "ssh", strconv.Itoa(m.Number), line)
}

// Fresh throws the machine's disk away and boots it anew, with new host keys. It keeps its address.
func (m *Machine) Fresh(tb testing.TB) {
	tb.Helper()
	m.call(tb, "fresh", strconv.Itoa(m.Number))
}

func (m *Machine) call(tb testing.TB, args ...string) string {
	tb.Helper()
	// Not the test's own context: cleanups use machines too, when that one is already cancelled.
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.script, args...)
	cmd.WaitDelay = stopLimit
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("machine %d: %s: %v\n%s", m.Number, strings.Join(args, " "), withStderr(err), out)
	}
	return string(out)
}

// find finds the script in the module that the working folder of the test is in.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find testdata/machines: %w", err)
	}
	for start := dir; ; {
		script := filepath.Join(dir, "testdata", "machines", "machines")
		if _, err := os.Stat(script); err == nil {
			return script, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("find testdata/machines/machines: no folder above %s has it", start)
		}
		dir = parent
	}
}

func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }
