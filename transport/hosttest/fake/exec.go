package fake

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// Handler answers for a program. It may use all methods of the Fake. op is as it was asked, but for Env, which is the whole environment of
// the command, and Dir and User, which are always set. A long output is cut after it.
type Handler func(ctx context.Context, f *Fake, op transport.Exec) (transport.Output, error)

type handler struct {
	match func(argv []string) bool
	run   Handler
}

// OnExec registers what a program does, by its name (as in "apt-get", for any folder of PATH) or by its whole path. What was registered
// last counts, also over the built-in commands.
func (f *Fake) OnExec(name string, h Handler) {
	f.OnCommand(func(argv []string) bool {
		return argv[0] == name || slices.Contains(searchPath, path.Dir(argv[0])) && path.Base(argv[0]) == name
	}, h)
}

// OnCommand registers what the commands do whose argument vectors match.
func (f *Fake) OnCommand(match func(argv []string) bool, h Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handlers = append(f.handlers, handler{match, h})
}

var searchPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

func (f *Fake) exec(ctx context.Context, o transport.Exec) (transport.Output, error) {
	none := transport.Output{}
	bad := func(kind transport.Kind, why string) (transport.Output, error) {
		name := "a command"
		if len(o.Argv) > 0 {
			name = string(o.Argv[0])
		}
		return none, &transport.Error{Kind: kind, Message: fmt.Sprintf("run %s: %s", name, why)}
	}
	if len(o.Argv) == 0 || o.Argv[0] == "" {
		return bad(transport.Refused, "no program was named")
	}
	for _, a := range o.Argv {
		if strings.Contains(string(a), "\x00") {
			return bad(transport.Refused, "an argument holds a NUL byte")
		}
	}
	for k, v := range o.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(string(v), "\x00") {
			return bad(transport.Refused, fmt.Sprintf("the environment variable %q cannot be set", k))
		}
	}
	run, full, err := f.prepare(o)
	if err != nil {
		return none, err
	}
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, errTimeout)
		defer cancel()
	}
	out, err := run(ctx, f, full)
	if ctx.Err() != nil {
		if context.Cause(ctx) == errTimeout {
			return bad(transport.Timeout, fmt.Sprintf("it did not end within %v and was killed", o.Timeout))
		}
		return none, interrupted("run "+string(o.Argv[0]), ctx.Err())
	}
	if err != nil {
		return none, sorted("run "+string(o.Argv[0]), err)
	}
	out.Stdout, out.StdoutCut = capture(out.Stdout, o.Limit)
	out.Stderr, out.StderrCut = capture(out.Stderr, o.Limit)
	return out, nil
}

var errTimeout = fmt.Errorf("timeout")

func capture(t transport.Text, limit int64) (transport.Text, int64) {
	c := transport.NewCapture(limit)
	_, _ = c.Write([]byte(t))
	return c.Result()
}

// prepare finds the handler of a command and completes what the handler gets.
func (f *Fake) prepare(o transport.Exec) (Handler, transport.Exec, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	user, ok := f.account(o.User)
	if !ok {
		return nil, o, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("run %s: there is no user %q", o.Argv[0], o.User)}
	}
	env := map[string]transport.Text{"PATH": transport.Text(strings.Join(searchPath, ":")), "LC_ALL": "C", "HOME": transport.Text(user.Home),
		"USER": transport.Text(user.Name), "LOGNAME": transport.Text(user.Name), "SHELL": transport.Text(user.Shell)}
	for k, v := range o.Env {
		env[k] = v
	}
	full := o
	full.Env, full.User = env, transport.Text(user.Name)
	if o.Dir != "" {
		at, err := f.resolve("run a command in", o.Dir, true)
		switch {
		case err != nil:
			return nil, o, err
		case at.node == nil:
			return nil, o, fault(transport.NotFound, "run a command in", o.Dir, "it does not exist")
		case at.node.typ != transport.Dir:
			return nil, o, fault(transport.Refused, "run a command in", o.Dir, "it is not a folder")
		}
	} else if full.Dir = "/"; user.UID != "0" {
		full.Dir = transport.Path(user.Home)
	}
	args := argv(o)
	for _, h := range slices.Backward(f.handlers) {
		if h.match(args) {
			return h.run, full, nil
		}
	}
	return nil, o, f.noProgram(args[0], full.Dir)
}

func (f *Fake) account(name transport.Text) (tables.User, bool) {
	if name == "" {
		name = "0"
	}
	users := f.passwd()
	i := slices.IndexFunc(users, func(u tables.User) bool { return u.Name == string(name) || u.UID == string(name) })
	if i < 0 {
		return tables.User{}, false
	}
	return users[i], true
}

// noProgram says why a command without a handler cannot run.
func (f *Fake) noProgram(name string, dir transport.Path) error {
	missing := &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("run %s: there is no such program", name)}
	var tries []transport.Path
	switch {
	case path.IsAbs(name):
		tries = []transport.Path{transport.Path(path.Clean(name))}
	case strings.Contains(name, "/"):
		tries = []transport.Path{dir.Join(name)}
	default:
		for _, d := range searchPath {
			tries = append(tries, transport.Path(d).Join(name))
		}
	}
	for _, p := range tries {
		at, err := f.resolve("run", p, true)
		if err != nil || at.node == nil {
			continue
		}
		if at.node.typ != transport.Regular || at.node.mode&0o111 == 0 {
			return fault(transport.Denied, "run", p, "it may not be executed")
		}
		return fault(transport.Unsupported, "run", p, "the fake host has no handler for it: register one with OnExec")
	}
	return missing
}
