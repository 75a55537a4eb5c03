//go:build linux || darwin || freebsd

package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fabgo/transport"
)

// searchPath is the PATH of commands.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// pipeDelay is how long a command's outputs are read after it ended: a child that it left in the background may hold them for ever.
const pipeDelay = time.Second

func (h *Host) exec(ctx context.Context, o transport.Exec) (transport.Output, error) {
	none := transport.Output{}
	if err := checkExec(o); err != nil {
		return none, err
	}
	a, switched, err := h.runAs(ctx, o)
	if err != nil {
		return none, err
	}
	return h.run(ctx, o, a, switched)
}

// run runs a checked command as a; switched says that this is not the acting user.
func (h *Host) run(ctx context.Context, o transport.Exec, a account, switched bool) (_ transport.Output, err error) {
	none := transport.Output{}
	env := environment(a, o.Env)
	cmd := &exec.Cmd{Env: env, SysProcAttr: &syscall.SysProcAttr{Setsid: true}, WaitDelay: pipeDelay}
	if switched {
		groups := make([]uint32, len(a.groups))
		for i, g := range a.groups {
			groups[i] = uint32(g)
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), Groups: groups}
	}
	if cmd.Dir, err = workFolder(o, a); err != nil {
		return none, err
	}
	for _, arg := range o.Argv {
		cmd.Args = append(cmd.Args, string(arg))
	}
	if o.Login {
		cmd.Args = []string{a.shell, "-l", "-c", quoteAll(cmd.Args)}
	}
	if cmd.Path, err = find(cmd.Args[0], env, cmd.Dir, switched); err != nil {
		return none, err
	}
	stdout, stderr := o.Captures(ctx)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if o.Stdin != nil {
		r, err := o.Stdin.Open()
		if err != nil {
			return none, &transport.Error{Kind: transport.IO, Message: fmt.Sprintf("run %s: its input: %v", o.Argv[0], err), Err: err}
		}
		defer r.Close()
		cmd.Stdin = r
	}
	if err := start(cmd); err != nil {
		return none, startError(cmd, o, err)
	}
	ended, err := h.wait(ctx, cmd, o.Timeout)
	if !ended { // not even SIGKILL ended it in time: its buffers are still in use
		return none, stopped(ctx, o, transport.NewCapture(0))
	}
	if errors.Is(err, errStopped) {
		return none, stopped(ctx, o, stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return none, &transport.Error{Kind: transport.IO, Message: fmt.Sprintf("run %s: %v", o.Argv[0], err), Err: err}
	}
	var out transport.Output
	out.Stdout, out.StdoutCut = stdout.Result()
	out.Stderr, out.StderrCut = stderr.Result()
	out.Code = cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		out.Code = 128 + int(ws.Signal())
		out.Signal = transport.Text(strings.TrimPrefix(unix.SignalName(ws.Signal()), "SIG"))
	}
	return out, nil
}

func checkExec(o transport.Exec) error {
	bad := func(why string) error {
		return &transport.Error{Kind: transport.Refused, Message: "run a command: " + why}
	}
	if len(o.Argv) == 0 || o.Argv[0] == "" {
		return bad("no program was named")
	}
	for _, a := range o.Argv {
		if strings.IndexByte(string(a), 0) >= 0 {
			return bad("an argument holds a NUL byte")
		}
	}
	for k, v := range o.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.IndexByte(string(v), 0) >= 0 {
			return bad(fmt.Sprintf("the environment variable %q cannot be set", k))
		}
	}
	if o.Dir != "" {
		return checkPath("run a command in", o.Dir)
	}
	return nil
}

// runAs is the account of the command, and whether that takes a change of user.
func (h *Host) runAs(ctx context.Context, o transport.Exec) (account, bool, error) {
	self := transport.Text(fmt.Sprint(h.self))
	key := o.User
	if key == "" {
		key = self
	}
	a, ok, err := h.account(ctx, key)
	switch {
	case err != nil:
		return a, false, err
	case !ok && key == self:
		a = h.nameless()
	case !ok:
		return a, false, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("run %s: there is no user %q", o.Argv[0], o.User)}
	case a.uid != h.self && h.self != 0:
		return a, false, &transport.Error{Kind: transport.Escalation, Message: fmt.Sprintf("run %s: only root may run commands as %s", o.Argv[0], a.name),
			Hint: "run with --sudo"}
	}
	if a.shell == "" {
		a.shell = "/bin/sh"
	}
	return a, a.uid != h.self, nil
}

// nameless is the acting user where no account has its id, as in containers.
func (h *Host) nameless() account {
	return account{name: fmt.Sprint(h.self), home: "/", shell: "/bin/sh", uid: h.self, gid: os.Getegid()}
}

// environment is the whole environment of a command, sorted.
func environment(a account, add map[string]transport.Text) []string {
	vars := map[string]string{
		"PATH": searchPath, "LC_ALL": "C", "HOME": a.home, "USER": a.name, "LOGNAME": a.name, "SHELL": a.shell,
	}
	for k, v := range add {
		vars[k] = string(v)
	}
	env := make([]string, 0, len(vars))
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	slices.Sort(env)
	return env
}

func workFolder(o transport.Exec, a account) (string, error) {
	if o.Dir == "" {
		if st, err := os.Stat(a.home); a.uid != 0 && err == nil && st.IsDir() {
			return a.home, nil
		}
		return "/", nil
	}
	st, err := os.Stat(string(o.Dir))
	if err == nil && !st.IsDir() {
		err = unix.ENOTDIR
	}
	return string(o.Dir), fail("run "+string(o.Argv[0])+" in", o.Dir, err)
}

// find is the file of a program, as execvp(3) searches it. Whether another user may execute it (switched) is for the kernel to say.
func find(name string, env []string, dir string, switched bool) (string, error) {
	if strings.Contains(name, "/") {
		p := name
		if !path.IsAbs(p) {
			p = path.Join(dir, p)
		}
		if executable, err := isProgram(p, switched); err != nil || !executable {
			return "", programError(name, err)
		}
		return p, nil
	}
	search := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	found := false
	for d := range strings.SplitSeq(search, ":") {
		if !path.IsAbs(d) {
			d = path.Join(dir, d)
		}
		executable, err := isProgram(path.Join(d, name), switched)
		if executable {
			return path.Join(d, name), nil
		}
		found = found || err == nil || errors.Is(err, fs.ErrPermission)
	}
	if found {
		return "", programError(name, unix.EACCES)
	}
	return "", &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("run %s: there is no such program in %s", name, search),
		Hint: "install the package that brings it, or name it by its whole path", Err: unix.ENOENT}
}

func isProgram(p string, switched bool) (bool, error) {
	st, err := os.Stat(p)
	if err != nil {
		return false, err
	}
	return st.Mode().IsRegular() && st.Mode()&0o111 != 0 && (switched || unix.Faccessat(unix.AT_FDCWD, p, unix.X_OK, unix.AT_EACCESS) == nil), nil
}

func programError(name string, err error) error {
	e := &transport.Error{Kind: transport.Denied, Message: fmt.Sprintf("run %s: it may not be executed", name), Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist), errnoOf(err) == unix.ENOTDIR:
		e.Kind, e.Message = transport.NotFound, fmt.Sprintf("run %s: there is no such program", name)
	case err != nil:
		e.Message += ": " + cause(err).Error()
	}
	return e
}

// start starts the command. A file that was written a moment ago is busy for as long as a child that another thread is forking holds
// its descriptor: that passes.
func start(cmd *exec.Cmd) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := cmd.Start()
		if !errors.Is(err, unix.ETXTBSY) || wait > 200*time.Millisecond {
			return err
		}
		time.Sleep(wait)
		again := *cmd
		*cmd = exec.Cmd{Path: again.Path, Args: again.Args, Env: again.Env, Dir: again.Dir, Stdin: again.Stdin, Stdout: again.Stdout,
			Stderr: again.Stderr, SysProcAttr: again.SysProcAttr, WaitDelay: again.WaitDelay}
	}
}

func startError(cmd *exec.Cmd, o transport.Exec, err error) error {
	name := o.Argv[0]
	e := &transport.Error{Kind: transport.IO, Message: fmt.Sprintf("run %s: %v", name, cause(err)), Err: err}
	switch errnoOf(err) {
	case unix.ENOENT:
		e.Kind, e.Message = transport.NotFound, fmt.Sprintf("run %s: the interpreter that its first line (or its header) names does not exist", name)
	case unix.EACCES, unix.EPERM:
		e.Kind = transport.Denied
		e.Hint = fmt.Sprintf("may the user execute %s and enter %s? is the file system mounted noexec?", cmd.Path, cmd.Dir)
	case unix.ENOEXEC:
		e.Kind, e.Hint = transport.Unsupported, "a script needs a first line such as #!/bin/sh; a program must be built for this machine"
	case unix.E2BIG:
		e.Kind, e.Hint = transport.Refused, "hand large data over in stdin or in a file"
	}
	return e
}

var errStopped = errors.New("stopped")

// wait waits for the command to end. When its time is up or ctx ends, the whole group gets SIGTERM and, a grace later or as soon as the
// command itself has gone, SIGKILL; err is errStopped then. ended is false when even that did not end it: it hangs in the kernel.
func (h *Host) wait(ctx context.Context, cmd *exec.Cmd, timeout time.Duration) (ended bool, err error) {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var expired <-chan time.Time
	if timeout > 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		expired = t.C
	}
	select {
	case err := <-done:
		return true, err
	case <-expired:
	case <-ctx.Done():
	}
	group := -cmd.Process.Pid
	_ = unix.Kill(group, unix.SIGTERM)
	grace := time.NewTimer(h.opts.Grace)
	defer grace.Stop()
	select {
	case <-done:
		_ = unix.Kill(group, unix.SIGKILL) // those it left behind
		return true, errStopped
	case <-grace.C:
	}
	_ = unix.Kill(group, unix.SIGKILL)
	last := time.NewTimer(pipeDelay + 5*time.Second)
	defer last.Stop()
	select {
	case <-done:
		return true, errStopped
	case <-last.C:
		return false, errStopped
	}
}

// stopped is the error of a command that was killed.
func stopped(ctx context.Context, o transport.Exec, stderr *transport.Capture) error {
	said, _ := stderr.Result()
	if err := ctx.Err(); err != nil {
		return &transport.Error{Kind: transport.Interrupted, Message: fmt.Sprintf("run %s: interrupted: %v; it was killed", o.Argv[0], context.Cause(ctx)), Stderr: said, Err: err}
	}
	return &transport.Error{Kind: transport.Timeout, Stderr: said, Hint: "give it a longer timeout",
		Message: fmt.Sprintf("run %s: it did not end within %v and was killed with all its children", o.Argv[0], o.Timeout)}
}

// quoteAll makes a shell command of an argument vector.
func quoteAll(argv []string) string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
