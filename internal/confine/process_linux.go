package confine

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// launch starts the child so that it dies with this process. The kernel sends the parent-death signal when the thread
// that forked ends, which Go may let happen at any time: so one goroutine keeps that thread until the child has ended.
func (c *Child) launch() error {
	attr := ownGroup(c.cmd)
	attr.Pdeathsig = unix.SIGKILL
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		// Not reaped yet, the process keeps its number: what it left in its group can be ended without hitting others.
		for {
			err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
			if err != unix.EINTR {
				break
			}
		}
		c.leave()
	}()
	return <-started
}

// await waits until the child can be reaped.
func (c *Child) await() { <-c.exited }

// ownGroup puts the command into a process group of its own, unless it is to have a session.
func ownGroup(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if !cmd.SysProcAttr.Setsid {
		cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pgid = true, 0
	}
	return cmd.SysProcAttr
}

func killGroup(p *os.Process) { unix.Kill(-p.Pid, unix.SIGKILL) }

// limitProcess lets the kernel hold what it can, and reports whether that is memory. RLIMIT_DATA counts what Go has
// made writable, which is never less than what its heap has resident; RLIMIT_AS would count its reservations too, with
// which no Go program starts. Kernels before 4.7 count only brk here: the watchdog is alone there. Those since 6.12 let
// the mapping pass that crosses the limit when it lies in a reservation, as Go's do, and refuse the next one.
func limitProcess(pid int, l Limits) bool {
	lower := func(resource int, n uint64) error {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, resource, nil, &old); err != nil {
			return err
		}
		n = min(n, old.Max)
		return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: n, Max: n}, nil)
	}
	lower(unix.RLIMIT_CORE, 0)
	if n := l.totalSeconds(); n > 0 {
		lower(unix.RLIMIT_CPU, n)
	}
	return l.Memory > 0 && !l.watchOnly && lower(unix.RLIMIT_DATA, uint64(l.memoryStop())) == nil
}

// meter reads what a child has used: its statm file and its processor clock, one system call each.
type meter struct {
	statm *os.File // nil where there is no /proc
	clock int32
	buf   [128]byte
}

func newMeter(pid int) *meter {
	m := &meter{clock: int32(^uint32(pid)<<3 | 2)} // CPUCLOCK_SCHED of a process: see clock_getcpuclockid(3)
	m.statm, _ = os.Open(fmt.Sprintf("/proc/%d/statm", pid))
	return m
}

func (m *meter) read() (u usage, ok bool) {
	var ts unix.Timespec
	if err := unix.ClockGettime(m.clock, &ts); err != nil {
		return usage{}, false
	}
	u.cpu = time.Duration(ts.Nano())
	if m.statm != nil {
		n, _ := m.statm.ReadAt(m.buf[:], 0)
		if fields := bytes.Fields(m.buf[:n]); len(fields) > 1 {
			pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			u.resident = pages * int64(os.Getpagesize())
		}
	}
	return u, true
}

func (m *meter) close() {
	if m.statm != nil {
		m.statm.Close()
	}
}

func deathSignal(s *os.ProcessState) string {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal().String()
	}
	return ""
}
