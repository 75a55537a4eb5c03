package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"fabgo/internal/helper"
	"fabgo/internal/sshd"
)

// TestScript runs the command line as people do: each file of testdata/script is one world with a home, a state folder and servers.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		Setup:              settle,
		Condition:          condition,
		Cmds:               map[string]func(*testscript.TestScript, bool, []string){"fabgo": runFabgo, "exits": exits, "bytes": outputBytes, "server": startServer, "logins": logins, "records": records, "connections": connections, "envsubst": substitute},
		RequireUniqueNames: true,
	})
}

func condition(c string) (bool, error) {
	if c == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", c)
}

// settle makes a home with a key in it.
func settle(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	key, err := writeKey(filepath.Join(home, ".ssh", "id_ed25519"), "")
	if err != nil {
		return err
	}
	env.Values["key"] = key
	env.Values["servers"] = map[string]*sshd.Server{}
	env.Setenv("HOME", home)
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
	env.Setenv("SSH_AUTH_SOCK", "")
	env.Setenv(helper.StateEnv, filepath.Join(env.WorkDir, "host-local")) // hosts are this machine
	env.Setenv("TERM", "dumb")
	bin := filepath.Join(env.WorkDir, "bin")
	if err := install(bin); err != nil {
		return err
	}
	env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
	vars := filepath.Join(env.WorkDir, "vars")
	if _, err := os.Stat(vars); err == nil { // the script's own
		return nil
	}
	b, err := json.Marshal(map[string]string{"work": env.WorkDir})
	return errors.Join(err, os.Mkdir(vars, 0o755), os.WriteFile(filepath.Join(vars, "all.json"), b, 0o644))
}

// runFabgo is "[!] fabgo ARG...": it succeeds, or not.
func runFabgo(ts *testscript.TestScript, neg bool, args []string) {
	if err := ts.Exec("fabgo", args...); (err != nil) != neg {
		ts.Fatalf("%v", err)
	}
}

// startServer is "server NAME [unknown|changed|mute|stranger]...": an SSH server of this machine under that name in ssh_config.
func startServer(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: server NAME [unknown|changed|mute|stranger]...")
	}
	o := sshd.Options{AuthorizedKeys: []ssh.PublicKey{ts.Value("key").(ssh.PublicKey)}, Dir: ts.Getenv("WORK")}
	known := true
	var stale ssh.Signer
	for _, a := range args[1:] {
		switch a {
		case "unknown":
			known = false
		case "changed":
			known = false
			_, other, err := ed25519.GenerateKey(rand.Reader)
			ts.Check(err)
			stale, err = ssh.NewSignerFromSigner(other)
			ts.Check(err)
		case "mute":
			o.Faults = func(int) sshd.Faults { return sshd.Faults{Mute: true} }
		case "stranger":
			o.AuthorizedKeys = nil
		default:
			ts.Fatalf("server: what is %s?", a)
		}
	}
	state, err := hostState(filepath.Join(ts.Getenv("WORK"), "host-"+args[0]))
	ts.Check(err)
	o.Env = append(o.Env, state)
	s, err := sshd.Start(o)
	ts.Check(err)
	ts.Defer(func() { s.Close() })
	ts.Value("servers").(map[string]*sshd.Server)[args[0]] = s
	ts.Setenv(strings.ToUpper(args[0]), s.Addr())
	ts.Setenv(strings.ToUpper(args[0])+"_PORT", s.Addr()[strings.LastIndex(s.Addr(), ":")+1:])
	ts.Check(configure(ts.Getenv("HOME"), args[0], s, known))
	if stale != nil {
		ts.Check(know(ts.Getenv("HOME"), s.Addr(), stale.PublicKey()))
	}
}

func stat(ts *testscript.TestScript, args []string) (sshd.Stats, int) {
	if len(args) != 2 {
		ts.Fatalf("want a server and a number")
	}
	s := ts.Value("servers").(map[string]*sshd.Server)[args[0]]
	if s == nil {
		ts.Fatalf("there is no server %s", args[0])
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	return s.Stats(), n
}

// logins is "logins NAME N": so many connections of the server came through authentication.
func logins(ts *testscript.TestScript, _ bool, args []string) {
	if s, n := stat(ts, args); s.Logins != n {
		ts.Fatalf("%d logins at %s, want %d", s.Logins, args[0], n)
	}
}

// connections is "connections NAME N": so many connections were made to the server.
func connections(ts *testscript.TestScript, _ bool, args []string) {
	if s, n := stat(ts, args); s.Connections != n {
		ts.Fatalf("%d connections to %s, want %d", s.Connections, args[0], n)
	}
}

// substitute is "envsubst FROM TO": a file with the variables of the script's environment spelled out.
func substitute(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: envsubst FROM TO")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}

// exits is "exits CODE COMMAND...": the command ends with that exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var x *exec.ExitError
		if !errors.As(err, &x) {
			ts.Fatalf("%v", err)
		}
		code = x.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// records is "[!] records [KEY=VALUE...]": standard output is JSON, one compact object a line, and (not) one of them has all these
// values; "changed=true" is a bool, "step=1" a number, a dot leads into objects.
func records(ts *testscript.TestScript, neg bool, args []string) {
	found := false
	out := ts.ReadFile("stdout")
	if out == "" || !strings.HasSuffix(out, "\n") {
		ts.Fatalf("standard output does not end with a line")
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			ts.Fatalf("not JSON: %v\n%s", err, line)
		}
		var b bytes.Buffer
		ts.Check(json.Compact(&b, []byte(line)))
		if b.String() != line {
			ts.Fatalf("not compact: %s", line)
		}
		if matches(rec, args) {
			found = true
		}
	}
	if found == neg {
		ts.Fatalf("records with %v: %v", args, found)
	}
}

func matches(rec map[string]any, want []string) bool {
	for _, kv := range want {
		path, v, _ := strings.Cut(kv, "=")
		var at any = rec
		for _, k := range strings.Split(path, ".") {
			m, _ := at.(map[string]any)
			at = m[k]
		}
		if at == nil || fmt.Sprint(at) != v {
			return false
		}
	}
	return true
}

// outputBytes is "bytes HEX": standard output is these bytes.
func outputBytes(ts *testscript.TestScript, _ bool, args []string) {
	if got := hex.EncodeToString([]byte(ts.ReadFile("stdout"))); len(args) != 1 || got != args[0] {
		ts.Fatalf("standard output is %s, want %v", got, args)
	}
}
