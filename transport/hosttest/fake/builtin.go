package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"fabgo/transport"
)

// builtins registers the small commands that are always there:
//
//	cat [--] [FILE...]       true, false          mkfifo PATH...        kill -0 PID (no process is there)
//	echo [-n] [WORD...]      env                  pwd                   test -e|-f|-d|-L|-x PATH
//	printf %s\0 [WORD...]    sleep SECONDS        hostname, nproc       uname -s|-n|-r|-m
//	id [-u|-un|-g|-gn] [USER]                     systemctl (see systemctl.go)
//
// and `sh -c SCRIPT`, where SCRIPT is any of these commands in plain words, divided by ";", with an optional ">&2" at the end, and
// `exit N` or `kill -NAME $$`. Other scripts are of kind Unsupported.
func (f *Fake) builtins() {
	for name, h := range map[string]Handler{
		"cat": cat, "echo": echo, "env": env, "hostname": says(f.opts.Hostname + "\n"), "id": id, "mkfifo": mkfifo, "nproc": says("2\n"),
		"printf": printf, "pwd": func(_ context.Context, _ *Fake, op transport.Exec) (transport.Output, error) {
			return transport.Output{Stdout: transport.Text(op.Dir) + "\n"}, nil
		},
		"sh": shell, "sleep": sleep, "systemctl": systemctl, "test": test, "uname": uname,
		"true": says(""), "false": Exits(1, ""), "kill": Exits(1, "kill: No such process\n"),
	} {
		f.OnExec(name, h)
		f.WriteFile(transport.Path("/usr/bin").Join(name), "", "0755")
	}
}

func says(s string) Handler {
	return func(context.Context, *Fake, transport.Exec) (transport.Output, error) {
		return transport.Output{Stdout: transport.Text(s)}, nil
	}
}

// Exits is a Handler that ends with a code and, on stderr, a text.
func Exits(code int, stderr string) Handler {
	return func(context.Context, *Fake, transport.Exec) (transport.Output, error) {
		return transport.Output{Code: code, Stderr: transport.Text(stderr)}, nil
	}
}

// words are the arguments of a command without its name.
func words(op transport.Exec) []string { return argv(op)[1:] }

func complain(code int, format string, args ...any) (transport.Output, error) {
	return transport.Output{Code: code, Stderr: transport.Text(fmt.Sprintf(format, args...) + "\n")}, nil
}

// in makes a path of an argument, in the working folder of the command.
func in(op transport.Exec, arg string) transport.Path {
	if strings.HasPrefix(arg, "/") {
		return transport.Path("/").Join(arg)
	}
	return op.Dir.Join(arg)
}

func cat(ctx context.Context, f *Fake, op transport.Exec) (transport.Output, error) {
	args := words(op)
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		if op.Stdin == nil {
			return transport.Output{}, nil
		}
		b, err := load(ctx, *op.Stdin)
		return transport.Output{Stdout: transport.Text(b)}, err
	}
	var out transport.Output
	for _, a := range args {
		info, err := f.stat(transport.Stat{Path: in(op, a), Follow: true})
		if err == nil && op.User != "root" && info.Mode.Bits()&0o004 == 0 && info.Owner != op.User {
			return complain(1, "cat: %s: Permission denied", a)
		}
		b, ok := f.ReadFile(in(op, a))
		if err != nil || !ok {
			return complain(1, "cat: %s: No such file or directory", a)
		}
		out.Stdout += transport.Text(b)
	}
	return out, nil
}

func echo(_ context.Context, _ *Fake, op transport.Exec) (transport.Output, error) {
	args, end := words(op), "\n"
	if len(args) > 0 && args[0] == "-n" {
		args, end = args[1:], ""
	}
	return transport.Output{Stdout: transport.Text(strings.Join(args, " ") + end)}, nil
}

func printf(_ context.Context, _ *Fake, op transport.Exec) (transport.Output, error) {
	args := words(op)
	if len(args) == 0 || args[0] != `%s\0` {
		return complain(2, `printf: the fake host knows the format %%s\0 only`)
	}
	return transport.Output{Stdout: transport.Text(strings.Join(args[1:], "\x00") + "\x00")}, nil
}

func env(_ context.Context, _ *Fake, op transport.Exec) (transport.Output, error) {
	var out transport.Output
	for _, k := range slices.Sorted(maps.Keys(op.Env)) {
		out.Stdout += transport.Text(k) + "=" + op.Env[k] + "\n"
	}
	return out, nil
}

func sleep(ctx context.Context, _ *Fake, op transport.Exec) (transport.Output, error) {
	s, err := strconv.ParseFloat(strings.Join(words(op), " "), 64)
	if err != nil {
		return complain(1, "sleep: invalid time interval")
	}
	t := time.NewTimer(time.Duration(s * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return transport.Output{}, nil
}

func id(_ context.Context, f *Fake, op transport.Exec) (transport.Output, error) {
	name, flag := op.User, ""
	for _, a := range words(op) {
		if strings.HasPrefix(a, "-") {
			flag = a
		} else {
			name = transport.Text(a)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	u, ok := f.account(name)
	if !ok {
		return complain(1, "id: '%s': no such user", name)
	}
	group := u.GID
	for _, g := range f.group() {
		if g.GID == u.GID {
			group = g.Name
			break
		}
	}
	say, ok := map[string]string{"-u": u.UID, "-un": u.Name, "-g": u.GID, "-gn": group,
		"": fmt.Sprintf("uid=%s(%s) gid=%s(%s)", u.UID, u.Name, u.GID, group)}[flag]
	if !ok {
		return complain(1, "id: the fake host does not know %s", flag)
	}
	return transport.Output{Stdout: transport.Text(say + "\n")}, nil
}

func mkfifo(_ context.Context, f *Fake, op transport.Exec) (transport.Output, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range words(op) {
		at, err := f.writable("make", in(op, a), false)
		if err != nil || at.node != nil {
			return complain(1, "mkfifo: cannot create fifo '%s': %v", a, err)
		}
		at.dir.names[at.name] = &node{typ: transport.Special, mode: 0o644, mtime: f.now()}
	}
	return transport.Output{}, nil
}

func test(_ context.Context, f *Fake, op transport.Exec) (transport.Output, error) {
	args := words(op)
	if len(args) != 2 {
		return complain(2, "test: the fake host knows -e, -f, -d, -L and -x with a path")
	}
	info, err := f.stat(transport.Stat{Path: in(op, args[1]), Follow: args[0] != "-L"})
	if err != nil {
		return transport.Output{Code: 1}, nil
	}
	yes, ok := map[string]bool{"-e": info.Type != transport.Absent, "-f": info.Type == transport.Regular, "-d": info.Type == transport.Dir,
		"-L": info.Type == transport.Symlink, "-x": info.Mode.Bits()&0o111 != 0}[args[0]]
	switch {
	case !ok:
		return complain(2, "test: the fake host does not know %s", args[0])
	case !yes:
		return transport.Output{Code: 1}, nil
	}
	return transport.Output{}, nil
}

func uname(_ context.Context, f *Fake, op transport.Exec) (transport.Output, error) {
	var out []string
	for _, a := range words(op) {
		say, ok := map[string]string{"-s": "Linux", "-n": f.opts.Hostname, "-r": "6.1.0-fake", "-m": "x86_64"}[a]
		if !ok {
			return complain(1, "uname: the fake host does not know %s", a)
		}
		out = append(out, say)
	}
	if out == nil {
		out = []string{"Linux"}
	}
	return transport.Output{Stdout: transport.Text(strings.Join(out, " ") + "\n")}, nil
}

// signals are those that a script may send to itself.
var signals = map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "USR1": 10, "SEGV": 11, "PIPE": 13, "TERM": 15}

func shell(ctx context.Context, f *Fake, op transport.Exec) (transport.Output, error) {
	args := words(op)
	if len(args) < 2 || args[0] != "-c" || strings.ContainsAny(args[1], "'\"\\`|<&(){}*?[]#~\n") && !strings.Contains(args[1], ">&2") {
		return transport.Output{}, unknownScript(args)
	}
	var out transport.Output
	for part := range strings.SplitSeq(args[1], ";") {
		part, toStderr := strings.CutSuffix(strings.TrimSpace(part), ">&2")
		w := strings.Fields(part)
		if len(w) == 0 {
			continue
		}
		if w[0] == "exit" && len(w) == 2 {
			code, err := strconv.Atoi(w[1])
			if err != nil {
				return transport.Output{}, unknownScript(args)
			}
			out.Code = code & 255
			return out, nil
		}
		if w[0] == "kill" && len(w) == 3 && w[2] == "$$" {
			name := strings.TrimPrefix(w[1], "-")
			n, ok := signals[name]
			if !ok {
				return transport.Output{}, unknownScript(args)
			}
			out.Code, out.Signal = 128+n, transport.Text(name)
			return out, nil
		}
		if strings.ContainsAny(part, "$><&=") {
			return transport.Output{}, unknownScript(args)
		}
		one := op
		one.Argv, one.Login = transport.Texts(w...), false
		run, _, err := f.prepare(one)
		if err != nil {
			return complain(127, "sh: 1: %s: not found", w[0])
		}
		res, err := run(ctx, f, one)
		if err != nil {
			return transport.Output{}, err
		}
		if toStderr {
			res.Stderr, res.Stdout = res.Stderr+res.Stdout, ""
		}
		out.Stdout, out.Stderr, out.Code = out.Stdout+res.Stdout, out.Stderr+res.Stderr, res.Code
	}
	return out, nil
}

func unknownScript(args []string) error {
	return &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("run sh: the fake host does not understand %q", args),
		Hint: "register the command with OnCommand"}
}
