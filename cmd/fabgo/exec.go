package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"fabgo/internal/report"
	"fabgo/transport"
	"fabgo/transport/ssh"
)

func (e *env) execCommand() *cobra.Command {
	var c connectFlags
	var user, dir string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "exec -H HOST -- COMMAND [ARG...]",
		Short: "Run a command on hosts",
		Long: `Exec runs a command on hosts, without a bundle. One argument goes to the shell; several are a
program and its arguments, with no shell in between. Output appears as it comes. With one host
it and the exit code are the command's; with several each line begins with the host, and the
exit code is 1 when any of them failed.`,
		Example: "  fabgo exec -H web1 -H web2 -- uptime\n  fabgo exec -H web1 -b -- 'journalctl -u nginx | tail'",
		Args:    takes(1, -1, "a command"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(c.hosts) == 0 {
				return usage("exec: name a host with -H, before the command")
			}
			if err := c.check(c.hosts); err != nil {
				return err
			}
			if timeout < 0 {
				return usage("--timeout %s: want a time from now", timeout)
			}
			var err error
			if c.repo, err = repositoryHere(); err != nil {
				return err
			}
			if c.hosts, err = c.repo.choose(c.hosts); err != nil {
				return err
			}
			if _, err := c.resolve(c.hosts); err != nil {
				return err
			}
			op := transport.Exec{Argv: transport.Texts(args...), User: transport.Text(user), Timeout: timeout, Limit: 1, Change: true} // what it says goes by
			if len(args) == 1 {
				op.Argv = transport.Texts("/bin/sh", "-c", args[0])
			}
			if dir != "" {
				p, err := transport.NewPath(dir)
				if err != nil {
					return usage("--cwd: %w", err)
				}
				op.Dir = p
			}
			x := &execution{env: e, connect: &c, op: op, shared: &ssh.Shared{}, prompt: e.prompter()}
			x.stop = e.interruptible(cmd.Context(), func() {})
			defer x.stop.close()
			return x.all()
		},
	}
	c.bind(cmd.Flags())
	completeConnection(cmd)
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	cmd.Flags().StringVar(&user, "run-as", "", "run the command as this `USER` of the host")
	cmd.Flags().StringVar(&dir, "cwd", "", "working `FOLDER`, absolute")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "kill the command and its children after this `TIME`, such as 30s")
	return cmd
}

// execution is one command on its hosts.
type execution struct {
	env     *env
	connect *connectFlags
	op      transport.Exec
	shared  *ssh.Shared
	prompt  *prompter
	stop    *interrupts
	mu      sync.Mutex // of the output
}

func (x *execution) all() error {
	hosts := x.connect.hosts
	places := make(chan struct{}, x.connect.parallel)
	codes := make([]int, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := x.env.guard(func() error { codes[i] = x.one(h); return nil }); err != nil {
				x.env.tell(err)
				codes[i] = exitBug
			}
		})
	}
	wg.Wait()
	if len(codes) == 1 {
		return done(codes[0])
	}
	for i, c := range codes {
		if !slices.Contains([]int{exitOK, exitUnreachable, exitInterrupted, exitBug}, c) {
			codes[i] = exitFailed
		}
	}
	return done(worst(codes...))
}

// one runs the command on a host. Its exit code is the command's; what ended fabgo's own part is told and has fabgo's codes.
func (x *execution) one(host string) int {
	conn, err := x.env.reach(x.stop.soft, host, x.connect.options(x.prompt, x.shared), x.connect)
	if err != nil {
		return x.fail(host, err)
	}
	defer conn.close()
	stdout, stderr := x.tap(host, x.env.Stdout), x.tap(host, x.env.Stderr)
	ctx := transport.WithTap(x.stop.soft, transport.Tap{Stdout: stdout, Stderr: stderr})
	out, err := transport.Do[transport.Output](ctx, conn, x.op)
	stdout.end()
	stderr.end()
	if err != nil {
		return x.fail(host, err)
	}
	return out.Code
}

// tap writes an output of one host.
func (x *execution) tap(host string, w io.Writer) *tap {
	return &tap{mu: &x.mu, w: w, prefix: x.prefix(host)}
}

// tap copies an output as it is and as it comes; with a prefix, line by line and escaped, since several hosts share the screen.
type tap struct {
	mu     *sync.Mutex // of the outputs of all hosts
	w      io.Writer
	prefix string
	line   []byte // what has come of a line
	over   bool   // the command was given up: what its pipes still bring is not shown
}

// longestLine is how much of a line is held back until its end comes: 64 KiB.
const longestLine = 64 << 10

// Write implements io.Writer.
func (t *tap) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return len(p), nil
	}
	if t.prefix == "" {
		return t.w.Write(p)
	}
	t.line = append(t.line, p...)
	for {
		i := bytes.IndexByte(t.line, '\n')
		if i < 0 {
			if len(t.line) > longestLine {
				t.put(t.line)
				t.line = t.line[:0]
			}
			return len(p), nil
		}
		t.put(t.line[:i])
		t.line = t.line[i+1:]
	}
}

func (t *tap) put(line []byte) {
	_, _ = fmt.Fprintf(t.w, "%s%s\n", t.prefix, report.Escape(string(line)))
}

// end writes a last line that has no end.
func (t *tap) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.line) > 0 {
		t.put(t.line)
	}
	t.over = true
}

// prefix tells the hosts' lines apart.
func (x *execution) prefix(host string) string {
	if len(x.connect.hosts) == 1 {
		return ""
	}
	return report.Escape(host) + ": "
}

func (x *execution) fail(host string, err error) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stop.soft.Err() != nil {
		fmt.Fprintf(x.env.Stderr, "%sinterrupted\n", x.prefix(host))
		return exitInterrupted
	}
	fmt.Fprint(x.env.Stderr, x.prefix(host))
	x.env.tell(err)
	switch transport.KindOf(err) {
	case transport.Unreachable, transport.Auth, transport.HostKey, transport.Lost:
		return exitUnreachable
	}
	return exitFailed
}
