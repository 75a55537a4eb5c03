package ssh

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fabgo/transport"
)

// exec runs a command for the bundle.
func (h *Host) exec(ctx context.Context, l *link, op transport.Exec) (transport.Output, error) {
	var zero transport.Output
	if len(op.Argv) == 0 || op.Argv[0] == "" {
		return zero, &transport.Error{Kind: transport.Refused, Message: "exec: there is no program to run"}
	}
	what := "run " + string(op.Argv[0])
	if err := checkTexts(what, op); err != nil {
		return zero, err
	}
	acct, as := l.acct, l.root
	if op.User != "" && string(op.User) != acct.name {
		u, err := h.account(ctx, l, string(op.User))
		if err != nil {
			return zero, err
		}
		if u.uid != acct.uid && acct.uid != 0 {
			if as, err = h.escalate(ctx, l.conn, u.name); err != nil {
				return zero, err
			}
		}
		if u.gid < 0 { // an id without an account has no group of its own
			u.gid = u.uid
		}
		acct = u
	}
	body, err := h.execScript(l, op, acct, as)
	if err != nil {
		return zero, err
	}
	if op.Change {
		defer h.names.forget()
	}
	stdout, stderr := op.Captures(ctx)
	r := request{what: what, body: body, as: as, stdin: source(op.Stdin), stdout: stdout, stderr: stderr, timeout: op.Timeout,
		change: op.Change, secret: len(op.Env) > 0, spare: h.spare(l.conn)}
	end, err := l.run(ctx, h.times, r)
	if err != nil {
		return zero, err
	}
	program := string(op.Argv[0])
	switch end.word {
	case "run":
	case "missing":
		return zero, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("run %s: there is no such program on the host", program),
			Hint: "programs are looked for in " + searchPath}
	case "noexec":
		return zero, &transport.Error{Kind: transport.Denied, Message: fmt.Sprintf("run %s: it is not a program that may be executed", program)}
	case "nodir":
		return zero, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("run %s: the working folder %s does not exist", program, show(op.Dir)), Path: op.Dir}
	case "nofolder":
		return zero, &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("run %s: the working folder %s is not a folder", program, show(op.Dir)), Path: op.Dir}
	case "closed":
		return zero, &transport.Error{Kind: transport.Denied, Message: fmt.Sprintf("run %s: the working folder %s may not be entered", program, show(op.Dir)), Path: op.Dir}
	default:
		if as != nil {
			return zero, h.refusal(end.noise)
		}
		return zero, neverBegan(what, end)
	}
	out := transport.Output{Code: end.code, Signal: transport.Text(end.signal)}
	out.Stdout, out.StdoutCut = stdout.Result()
	out.Stderr, out.StderrCut = stderr.Result()
	if out.Code == 127 && strings.HasPrefix(string(out.Stderr), "env: ") && strings.HasSuffix(string(out.Stderr), ": No such file or directory\n") {
		return zero, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("run %s: the interpreter that it names does not exist", program), Stderr: out.Stderr}
	}
	return out, nil
}

// checkTexts refuses what no argument vector or environment can hold.
func checkTexts(what string, op transport.Exec) error {
	bad := func(where string) error {
		return &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("%s: %s holds a NUL byte", what, where)}
	}
	for _, a := range op.Argv {
		if strings.IndexByte(string(a), 0) >= 0 {
			return bad("an argument")
		}
	}
	for k, v := range op.Env {
		if strings.IndexByte(k+string(v), 0) >= 0 {
			return bad("the environment")
		}
		if k == "" || strings.Contains(k, "=") {
			return &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("%s: %q cannot be the name of a variable", what, k)}
		}
	}
	if strings.IndexByte(string(op.User), 0) >= 0 {
		return bad("the user's name")
	}
	if op.Dir != "" {
		return checkPath(what, op.Dir)
	}
	return nil
}

// execScript says in shell: go to the folder, see whether there is such a program, say so, become the user, and be replaced by the
// program with exactly the environment that Exec promises.
func (h *Host) execScript(l *link, op transport.Exec, acct account, as *escalation) (string, error) {
	env := map[string]string{"PATH": searchPath, "LC_ALL": "C", "HOME": acct.home, "USER": acct.name, "LOGNAME": acct.name, "SHELL": acct.shell}
	for k, v := range op.Env {
		env[k] = string(v)
	}
	words := []string{"env", "-i"}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		words = append(words, k+"="+env[k])
	}
	program := string(op.Argv[0])
	var b strings.Builder
	dir := string(op.Dir)
	switch {
	case dir != "":
		fmt.Fprintf(&b, "cd %[1]s 2>/dev/null || { if [ -d %[1]s ]; then begin closed; elif [ -e %[1]s ]; then begin nofolder; else begin nodir; fi; exit 0; }\n", shellWord(dir))
	case acct.uid == 0:
		b.WriteString("cd /\n")
	default:
		fmt.Fprintf(&b, "cd %s 2>/dev/null || cd /\n", shellWord(acct.home))
	}
	switch {
	case op.Login:
		words = append(words, acct.shell, "-l", "-c", loginCommand("exec "+shellWords(op.Argv)))
	default:
		fmt.Fprintf(&b, "p=%s; P=%s; f=; x=\n", shellWord(program), shellWord(env["PATH"]))
		b.WriteString(`case $p in
*/*) if [ -e "$p" ] || [ -h "$p" ]; then f=$p; fi; if [ -f "$p" ] && [ -x "$p" ]; then x=1; fi ;;
*) IFS=:; set -f; for d in $P; do
  if [ -f "$d/$p" ]; then f=$d/$p; if [ -x "$d/$p" ]; then x=1; break; fi; fi
done; unset IFS; set +f ;;
esac
if [ -z "$f" ]; then begin missing; exit 0; fi
if [ -z "$x" ]; then begin noexec; exit 0; fi
`)
		if strings.Contains(program, "=") { // env would take it for a variable
			words = append(words, "/bin/sh", "-c", `exec "$0" "$@"`)
		}
		for _, a := range op.Argv {
			words = append(words, string(a))
		}
	}
	become, err := h.becomeWords(l, acct, as)
	if err != nil {
		return "", err
	}
	// The child of root keeps the folder that root could enter.
	b.WriteString("begin run\nexec " + become + shellWords(words))
	if op.Stdin == nil {
		b.WriteString(" </dev/null")
	}
	return b.String(), nil
}

// becomeWords is what stands before a command that root runs as another user.
func (h *Host) becomeWords(l *link, acct account, as *escalation) (string, error) {
	if acct.uid == l.acct.uid || l.acct.uid != 0 || as != l.root {
		return "", nil
	}
	numeric := fmt.Sprint(acct.uid) == acct.name
	switch {
	case l.tools["setpriv"] && l.tools["setpriv-init-groups"] && !numeric:
		return fmt.Sprintf("setpriv --reuid=%d --regid=%d --init-groups -- ", acct.uid, acct.gid), nil
	case l.tools["setpriv"] && l.tools["setpriv-init-groups"]:
		return fmt.Sprintf("setpriv --reuid=%d --regid=%d --clear-groups -- ", acct.uid, acct.gid), nil
	case l.tools["runuser"] && !numeric:
		return "runuser -u " + shellWord(acct.name) + " -- ", nil
	case l.tools["sudo"]:
		return "sudo -n -u " + shellWord("#"+fmt.Sprint(acct.uid)) + " -- ", nil
	}
	return "", &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("run as %s: the host has none of setpriv (of util-linux), runuser and sudo", acct.name)}
}
