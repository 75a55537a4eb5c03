package hosttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"fabgo/transport"
)

// The commands that the suite runs: cat (with and without --), echo, env, false, id -un, kill -0, mkfifo, printf '%s\0', pwd, sleep and
// sh -c with scripts of `cat`, `cat >&2`, `exit N` and `kill -NAME $$`, and for targets with real processes any script.

// allBytes is every byte that an argument can hold.
var allBytes = func() string {
	b := make([]byte, 255)
	for i := range b {
		b[i] = byte(i + 1)
	}
	return string(b)
}()

// arguments trip whoever joins and splits them.
var arguments = append([]string{"", " ", "a b", "--", "-n", `\0`, "%s", "\n", "a\n\nb", "'", "''", `"`, `\`, `\'`, `'\''`, "$$", "`id`", "!!", "~", allBytes,
	strings.Repeat(allBytes, 100)}, oddNames...)

// parseEnv reads the output of env, values without newlines.
func parseEnv(out transport.Text) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		m[k] = v
	}
	return m
}

var execTests = []test{
	{"arguments", func(r *run) {
		shell := parseEnv(r.exec("env").Stdout)["SHELL"]
		for _, login := range []bool{false, true} {
			if login && (strings.HasSuffix(shell, "/nologin") || strings.HasSuffix(shell, "/false")) {
				continue // an account that cannot log in
			}
			out := do[transport.Output](r, transport.Exec{Argv: append(transport.Texts("printf", `%s\0`), transport.Texts(arguments...)...), Login: login})
			want := strings.Join(arguments, "\x00") + "\x00"
			if out.Code != 0 || string(out.Stdout) != want {
				r.Errorf("login %v: code %d, %d bytes instead of %d, stderr %q", login, out.Code, len(out.Stdout), len(want), out.Stderr)
			}
		}
	}},
	{"environment", func(r *run) {
		out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("env"), Env: map[string]transport.Text{
			"ADDED": "a 'b' \"c\" $HOME `id` \\ *", "EMPTY": "", "lower_1": "x", "LANG": "xx", "BYTES": "\xff\x01"}})
		env := parseEnv(out.Stdout)
		for k, v := range map[string]string{"ADDED": "a 'b' \"c\" $HOME `id` \\ *", "EMPTY": "", "lower_1": "x", "LANG": "xx", "BYTES": "\xff\x01", "LC_ALL": "C"} {
			if got, ok := env[k]; !ok || got != v {
				r.Errorf("%s is %q, want %q", k, got, v)
			}
		}
		for _, k := range []string{"HOME", "USER", "LOGNAME", "SHELL"} {
			if env[k] == "" {
				r.Errorf("%s is not set", k)
			}
		}
		if env["USER"] != env["LOGNAME"] || r.AsRoot && (env["USER"] != "root" || env["HOME"] == "") {
			r.Errorf("USER %q, LOGNAME %q, HOME %q", env["USER"], env["LOGNAME"], env["HOME"])
		}
		path := ":" + env["PATH"] + ":"
		for _, d := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
			if !strings.Contains(path, ":"+d+":") {
				r.Errorf("PATH %q lacks %s", env["PATH"], d)
			}
		}
		out = do[transport.Output](r, transport.Exec{Argv: transport.Texts("env"), Env: map[string]transport.Text{"LC_ALL": "POSIX", "HOME": "/x"}})
		if env := parseEnv(out.Stdout); env["LC_ALL"] != "POSIX" || env["HOME"] != "/x" {
			r.Errorf("what Env sets does not win: %v", env)
		}
	}},
	{"no environment of the controller", func(r *run) {
		// Not T.Setenv, which refuses suites that run in parallel; all of them set the same value, and nothing reads it but the command.
		if err := os.Setenv("FABGO_HOSTTEST_LEAK", "leaked"); err != nil {
			r.Fatal(err)
		}
		if out := r.exec("env"); strings.Contains(string(out.Stdout), "LEAK") {
			r.Errorf("%s", out.Stdout)
		}
	}},
	{"bad requests", func(r *run) {
		r.refused(transport.Exec{}, transport.Refused)
		r.refused(transport.Exec{Argv: transport.Texts("")}, transport.Refused)
		r.refused(transport.Exec{Argv: transport.Texts("echo", "a\x00b")}, transport.Refused)
		for _, k := range []string{"", "A=B", "A\x00"} {
			r.refused(transport.Exec{Argv: transport.Texts("env"), Env: map[string]transport.Text{k: "v"}}, transport.Refused)
		}
		r.refused(transport.Exec{Argv: transport.Texts("env"), Env: map[string]transport.Text{"A": "\x00"}}, transport.Refused)
		r.refused(transport.Exec{Argv: transport.Texts("pwd"), Dir: "relative"}, transport.Refused)
	}},
	{"working folder", func(r *run) {
		d := r.dir()
		odd := d.Join("it's a 'dir'\n$(x)")
		do[transport.Done](r, transport.Mkdir{Path: odd})
		for _, dir := range []transport.Path{"/", d, odd} {
			if out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("pwd"), Dir: dir}); string(out.Stdout) != string(dir)+"\n" {
				r.Errorf("%q: %+v", dir, out)
			}
		}
		if out := r.exec("pwd"); r.AsRoot && out.Stdout != "/\n" {
			r.Errorf("root starts in %q", out.Stdout)
		}
		r.refused(transport.Exec{Argv: transport.Texts("pwd"), Dir: d.Join("nosuch")}, transport.NotFound)
		r.write(d.Join("f"), "", "")
		r.refused(transport.Exec{Argv: transport.Texts("pwd"), Dir: d.Join("f")}, transport.Refused)
	}},
	{"input", func(r *run) {
		if out := r.exec("cat"); out.Code != 0 || out.Stdout != "" {
			r.Errorf("without an input: %+v", out)
		}
		for _, in := range []string{"", "text\n", allBytes + "\x00" + allBytes} {
			c := transport.String(in)
			if out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("cat"), Stdin: &c}); string(out.Stdout) != in || out.Code != 0 {
				r.Errorf("%q: %+v", in, out)
			}
			do[transport.Output](r, transport.Exec{Argv: transport.Texts("false"), Stdin: &c})
		}
		big := stream(3 << 20)
		if out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("false"), Stdin: &big}); out.Code != 1 {
			r.Errorf("an input that nobody reads: %+v", out)
		}
		b := broken()
		if res, err := r.host.Do(r.Context(), transport.Exec{Argv: transport.Texts("cat"), Stdin: &b}); err == nil {
			r.Errorf("a broken input: %.100v", res)
		}
	}},
	{"large outputs", func(r *run) {
		big := stream(3<<20 + 5)
		want := transport.NewCapture(0)
		all, err := big.ReadAll(4 << 20)
		if err != nil {
			r.Fatal(err)
		}
		_, _ = want.Write(all)
		kept, cut := want.Result()
		out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("cat"), Stdin: &big})
		if out.Stdout != kept || out.StdoutCut != cut || out.Stderr != "" || out.StderrCut != 0 {
			r.Errorf("stdout: %d bytes, cut %d; want %d, %d", len(out.Stdout), out.StdoutCut, len(kept), cut)
		}
		out = do[transport.Output](r, transport.Exec{Argv: transport.Texts("sh", "-c", "cat >&2"), Stdin: &big})
		if out.Stderr != kept || out.StderrCut != cut || out.Stdout != "" || out.StdoutCut != 0 {
			r.Errorf("stderr: %d bytes, cut %d; want %d, %d", len(out.Stderr), out.StderrCut, len(kept), cut)
		}
		whole := do[transport.Output](r, transport.Exec{Argv: transport.Texts("cat"), Stdin: &big, Limit: 4 << 20})
		if string(whole.Stdout) != string(all) || whole.StdoutCut != 0 {
			r.Errorf("with a limit above it: %d bytes, cut %d", len(whole.Stdout), whole.StdoutCut)
		}
		c := transport.String("0123456789")
		out = do[transport.Output](r, transport.Exec{Argv: transport.Texts("cat"), Stdin: &c, Limit: 4})
		if out.Stdout != "01\n[... 6 bytes cut ...]\n89" || out.StdoutCut != 6 {
			r.Errorf("limit 4: %+v", out)
		}
	}},
	{"a tap", func(r *run) {
		if !r.Taps {
			r.Skip("this host hears of outputs at the end")
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		defer cancel()
		var out, errs bytes.Buffer
		heard := make(chan struct{})
		tap := transport.Tap{Stderr: &errs, Stdout: writerFunc(func(p []byte) (int, error) {
			if had := out.Len() > 0; !had {
				close(heard)
			}
			return out.Write(p)
		})}
		answer := transport.String("two\n")
		late := transport.Source(answer.Digest, answer.Size, func() (io.ReadCloser, error) {
			select {
			case <-heard: // the input comes when the output was seen
				return answer.Open()
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		in := transport.Source(answer.Digest, answer.Size, func() (io.ReadCloser, error) { return &lazyReader{open: late.Open}, nil })
		op := transport.Exec{Argv: transport.Texts("sh", "-c", "echo one; cat; echo three >&2"), Stdin: &in, Limit: 4}
		res, err := transport.Do[transport.Output](transport.WithTap(ctx, tap), r.host, op)
		if err != nil || res.Code != 0 || res.StdoutCut != 4 {
			r.Fatalf("%+v, %v", res, err)
		}
		if out.String() != "one\ntwo\n" || errs.String() != "three\n" {
			r.Errorf("heard %q and %q", out.String(), errs.String())
		}
	}},
	{"exit codes", func(r *run) {
		for _, code := range []int{0, 1, 2, 126, 127, 128, 200, 255} {
			if out := r.exec("sh", "-c", fmt.Sprintf("exit %d", code)); out.Code != code || out.Signal != "" {
				r.Errorf("exit %d: %+v", code, out)
			}
		}
		in := transport.String("said")
		out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("sh", "-c", "cat >&2; exit 3"), Stdin: &in})
		if out.Code != 3 || out.Stderr != "said" || out.Stdout != "" {
			r.Errorf("%+v", out)
		}
	}},
	{"signals", func(r *run) {
		for name, n := range map[string]int{"KILL": 9, "TERM": 15, "SEGV": 11, "HUP": 1} {
			if out := r.exec("sh", "-c", "kill -"+name+" $$"); out.Code != 128+n || string(out.Signal) != name {
				r.Errorf("%s: %+v", name, out)
			}
		}
	}},
	{"missing things", func(r *run) {
		d := r.dir()
		if e := r.refused(transport.Exec{Argv: transport.Texts("no-such-program", "x")}, transport.NotFound); !strings.Contains(e.Message, "no-such-program") {
			r.Errorf("the error does not name the program: %v", e)
		}
		r.refused(transport.Exec{Argv: transport.Texts(string(d.Join("nosuch")))}, transport.NotFound)
		r.write(d.Join("data"), "x", "0644")
		r.refused(transport.Exec{Argv: transport.Texts(string(d.Join("data")))}, transport.Denied)
		r.refused(transport.Exec{Argv: transport.Texts(string(d))}, transport.Denied)
		r.refused(transport.Exec{Argv: transport.Texts("true"), User: "no-such-user"}, transport.NotFound, transport.Escalation)
	}},
	{"users", func(r *run) {
		me := strings.TrimSpace(string(r.exec("id", "-un").Stdout))
		out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("id", "-un"), User: transport.Text(me)})
		if strings.TrimSpace(string(out.Stdout)) != me {
			r.Errorf("as ourselves: %+v", out)
		}
		if !r.AsRoot {
			r.refused(transport.Exec{Argv: transport.Texts("true"), User: "root"}, transport.Escalation, transport.Denied)
			return
		}
		r.needs(r.Other != "", "other account")
		row, ok := do[transport.Rows](r, transport.Lookup{Table: transport.Users, Keys: []transport.Text{r.Other}}).Get(r.Other)
		if !ok {
			r.Fatalf("no account %q", r.Other)
		}
		for _, u := range []transport.Text{r.Other, row.Fields["uid"]} {
			out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("id", "-un"), User: u})
			if strings.TrimSpace(string(out.Stdout)) != string(r.Other) {
				r.Errorf("as %s: %+v", u, out)
			}
			env := parseEnv(do[transport.Output](r, transport.Exec{Argv: transport.Texts("env"), User: u, Env: map[string]transport.Text{"X": "y"}}).Stdout)
			if env["USER"] != string(r.Other) || env["LOGNAME"] != string(r.Other) || env["HOME"] != string(row.Fields["home"]) || env["X"] != "y" || env["LC_ALL"] != "C" {
				r.Errorf("as %s: %v", u, env)
			}
		}
		d := r.dir()
		do[transport.Done](r, transport.SetAttr{Path: d, Mode: "0711"})
		r.write(d.Join("secret"), "x", "0600")
		if out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("cat", string(d.Join("secret"))), User: r.Other}); out.Code == 0 {
			r.Errorf("%s reads root's file: %+v", r.Other, out)
		}
	}},
	{"timeout", func(r *run) {
		begin := time.Now()
		r.refused(transport.Exec{Argv: transport.Texts("sleep", "300"), Timeout: 200 * time.Millisecond}, transport.Timeout)
		if took := time.Since(begin); took > 20*time.Second {
			r.Errorf("it took %v", took)
		}
		if out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("true"), Timeout: time.Minute}); out.Code != 0 {
			r.Errorf("%+v", out)
		}
	}},
	{"cancel", func(r *run) {
		ctx, cancel := context.WithTimeout(r.Context(), 200*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := r.host.Do(ctx, transport.Exec{Argv: transport.Texts("sleep", "300")})
		if k := transport.KindOf(err); k != transport.Interrupted {
			r.Errorf("an ended context: kind %q, %v", k, err)
		}
		if took := time.Since(begin); took > 20*time.Second {
			r.Errorf("it took %v", took)
		}
	}},
	{"timeout kills grandchildren", func(r *run) {
		r.needs(r.Processes, "real processes")
		d := r.dir()
		script := `trap '' TERM; sh -c 'trap "" TERM; echo $$ >"$0/pid"; while :; do sleep 1; done' "$0" & wait; wait`
		begin := time.Now()
		r.refused(transport.Exec{Argv: transport.Texts("sh", "-c", script, string(d)), Timeout: time.Second}, transport.Timeout)
		if took := time.Since(begin); took > 30*time.Second {
			r.Errorf("it took %v", took)
		}
		pid := strings.TrimSpace(r.content(d.Join("pid")))
		if _, err := strconv.Atoi(pid); err != nil {
			r.Fatal(err)
		}
		gone := func() bool { return r.exec("kill", "-0", pid).Code != 0 }
		for end := time.Now().Add(10 * time.Second); !gone() && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond) // a killed process needs its time, no event tells
		}
		if !gone() {
			r.Errorf("process %s is alive", pid)
		}
	}},
	{"background children do not block", func(r *run) {
		r.needs(r.Processes, "real processes")
		begin := time.Now()
		out := r.exec("sh", "-c", "sleep 60 & echo $!")
		if took := time.Since(begin); took > 20*time.Second {
			r.Errorf("it took %v", took)
		}
		pid := strings.TrimSpace(string(out.Stdout))
		if out.Code != 0 || pid == "" {
			r.Fatalf("%+v", out)
		}
		r.exec("kill", pid)
	}},
	{"a written script runs", func(r *run) {
		r.needs(r.Processes, "real processes")
		d := r.dir()
		for i := range 5 {
			p := d.Join(fmt.Sprintf("s%d", i))
			r.write(p, fmt.Sprintf("#!/bin/sh\necho %d \"$@\"\n", i), "0755")
			if out := r.exec(string(p), "a b"); string(out.Stdout) != fmt.Sprintf("%d a b\n", i) {
				r.Errorf("%+v", out)
			}
		}
		r.write(d.Join("bad"), "#!/no/such/interpreter\n", "0755")
		r.refused(transport.Exec{Argv: transport.Texts(string(d.Join("bad")))}, transport.NotFound)
	}},
	{"many at once", func(r *run) {
		for i := range 4 {
			r.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				r := &run{T: t, suite: r.suite}
				for j := range 5 {
					in := transport.String(fmt.Sprint(i, j))
					if out := do[transport.Output](r, transport.Exec{Argv: transport.Texts("cat"), Stdin: &in}); string(out.Stdout) != fmt.Sprint(i, j) {
						t.Errorf("%+v", out)
					}
				}
			})
		}
	}},
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// lazyReader opens with its first Read, since a command starts when its input is open.
type lazyReader struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.Read(p)
}

func (l *lazyReader) Close() error {
	if l.r == nil {
		return nil
	}
	return l.r.Close()
}
