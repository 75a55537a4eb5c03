package confine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// Variable is the name of the environment variable by which a child knows that it is confined, and how.
const Variable = "FABGO_CONFINED"

// leftoverDelay bounds how long Wait waits for the output of a process that left the child's group.
const leftoverDelay = time.Second

// ErrEnded is what Wait returns when the child was ended by Kill.
var ErrEnded = errors.New("ended on request")

// Child is a process under limits.
type Child struct {
	cmd    *exec.Cmd
	limits Limits
	stderr *capture
	page   *page // nil where there is none
	hard   bool  // the kernel refuses memory beyond the limit

	waiting atomic.Int64  // what the child waits for at the moment
	stretch atomic.Uint64 // counts the stretches

	mu      sync.Mutex
	gone    bool // the process may be reaped: no signal goes to its number any more
	ended   bool // by Kill
	killed  *Killed
	last    string        // what the page said in the end
	exited  chan struct{} // closed when gone
	reap    sync.Once
	verdict error
}

// Start starts the command under limits. Its standard error is kept, capped, and also written to cmd.Stderr if that is
// set; the command gets one more file and one more variable, which Inside understands. Wait must be called.
func Start(cmd *exec.Cmd, l Limits) (*Child, error) {
	l = l.withDefaults()
	c := &Child{cmd: cmd, limits: l, stderr: &capture{next: cmd.Stderr}, exited: make(chan struct{})}
	cmd.Stderr = c.stderr
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = leftoverDelay
	}
	o := orders{Memory: l.Memory, TotalSeconds: l.totalSeconds()}
	p, file, err := newPage()
	if err == nil { // without it a report has no position, no more
		defer file.Close()
		c.page = p
		o.PageFD = 3 + len(cmd.ExtraFiles)
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	cmd.Env = append(cmd.Environ(), Variable+"="+o.String())
	if err := c.launch(); err != nil {
		c.page.close()
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	c.hard = limitProcess(cmd.Process.Pid, l)
	go c.watch(newMeter(cmd.Process.Pid))
	return c, nil
}

// Waiting tells that the child waits for something that its parent does for it (true), or has its answer (false). Calls
// nest. While it waits, no time is counted, and with the last answer a new stretch begins.
func (c *Child) Waiting(waits bool) {
	if waits {
		c.waiting.Add(1)
	} else if c.waiting.Add(-1) == 0 {
		c.stretch.Add(1)
	}
}

// Where is the place that the child last told, "web1.star:12", or "".
func (c *Child) Where() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != "" {
		return c.last
	}
	return c.page.where()
}

// Stderr is what the child wrote to its standard error, its middle left out when there was much.
func (c *Child) Stderr() string { return c.stderr.String() }

// Pid is the child's process number.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// ProcessState is what the system says of the child, after Wait.
func (c *Child) ProcessState() *os.ProcessState { return c.cmd.ProcessState }

// Kill ends the child and its process group at once; the child has nothing to lose that its parent does not hold. It may
// be called at any time.
func (c *Child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.ended = true
		killGroup(c.cmd.Process)
	}
}

// kill ends the child for a reason, unless it is dying of another.
func (c *Child) kill(why Killed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || c.ended || c.killed != nil {
		return
	}
	c.killed = &why
	killGroup(c.cmd.Process)
}

// leave says that the process has ended and ends what it left in its group; until it is reaped its number is its own.
func (c *Child) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		killGroup(c.cmd.Process)
		c.gone = true
		close(c.exited)
	}
}

// Wait waits for the end of the child: a *Killed when a limit ended it, a *Crash when it panicked, ErrEnded after Kill,
// else what exec.Cmd.Wait says. As there, all reads from the child's pipes must be done before.
func (c *Child) Wait() error {
	c.reap.Do(func() {
		c.await()
		err := c.cmd.Wait()
		c.leave()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = c.page.where()
		c.page.close()
		c.verdict = c.judge(err)
	})
	return c.verdict
}
