//go:build linux

package main

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"fabgo/internal/sshd"
)

// secretForms are how a secret may look where it must not be.
func secretForms(secret string) map[string]string {
	b := base64.StdEncoding.EncodeToString([]byte(secret))
	return map[string]string{
		"as it is": secret, "base64": strings.TrimRight(b, "=")[:len(b)-4], "url": url.QueryEscape(secret), "shell": strings.ReplaceAll(secret, "'", `'\''`), "json": strings.ReplaceAll(secret, `"`, `\"`),
	}
}

// TestSecretsLeaveNoTrace: after a run that uses secrets in every way, none is in anything that it showed or left, whichever way it was
// evaluated, nor in the arguments and environments of the processes of the host meanwhile; in the files that were to have them they are.
func TestSecretsLeaveNoTrace(t *testing.T) {
	values := map[string]string{"db": `pa'ss "w0rd" %41&<é>`, "app/key": "-----BEGIN KEY-----\nMIIabcdefghijklmnop\nqrstuvwxyz0123456789\n-----END KEY-----\n", "token": "tok_0123456789abcdef"}
	for _, where := range []string{"target", "controller"} {
		t.Run(where, func(t *testing.T) {
			w := newWorld(t)
			w.host("web1", sshd.Options{})
			w.must(os.MkdirAll(filepath.Join(w.dir, "secrets"), 0o755))
			w.file("fab.mod", "")
			w.file("secrets/recipients", string(ssh.MarshalAuthorizedKey(w.key)))
			w.file("secrets/sources.yaml", "token: {command: [printf, "+values["token"]+"]}\n")
			for _, name := range []string{"db", "app/key"} {
				p := &process{w: w, cmd: w.command("secret", "set", name), stdout: newWatched(), stderr: newWatched(), done: make(chan struct{})}
				p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = strings.NewReader(values[name]+"\n"), p.stdout, p.stderr
				p.run()
				p.exits(0)
			}
			w.file("t.j2", "{{ pw }} {{ pw | b64encode }} {{ pw | urlencode }} {{ pw | quote }} {{ {'k': pw} | to_json }} {{ pw | sha256 }}\n{{ key }}")
			w.must(os.Mkdir(filepath.Join(w.dir, "target"), 0o755))
			w.file("web1.star", `
dir = "`+w.dir+`/target/"
pw, key, tok = secret("db"), secret("app/key"), secret("token")
file.put(dir + "put", content = "pw = " + pw + "\n")
file.put(dir + "put", content = "pw = " + tok + "\n")
file.template("t.j2", dir + "template", vars = {"pw": pw, "key": key})
file.line(dir + "put", line = json.encode({"pw": pw}))
run(["sh", "-c", "umask 077; cat >" + dir + "stdin"], stdin = key)
note(query(["cat", dir + "put", dir + "template", dir + "stdin"]).stdout)
note(query("base64 <" + dir + "stdin | tr -d '\\n'").stdout)
note(file.read(dir + "put"))
note("the password is " + pw)
# Nobody else on the host sees it. The pattern is on standard input.
for s in [pw, tok]:
    r = query("grep -lsaF -f - /proc/[0-9]*/cmdline /proc/[0-9]*/environ | grep -v /self/ || true", stdin = s)
    if r.stdout:
        fail("it is in", r.stdout)
r = attempt(lambda: run(["sh", "-c", "cat >&2; exit 3"], stdin = pw))
r = attempt(lambda: run(["echo", pw]))
if "where others on the host can see it" not in r.error:
    fail("an argument is let through: " + r.error)
run(["false"])
`)
			args := []string{"--evaluate=" + where, "-u", "root", "-v", "--diff", "web1.star"}
			var shown bytes.Buffer
			for _, c := range [][]string{append([]string{"plan"}, args...), append([]string{"run"}, args...), append([]string{"run", "--json"}, args...), {"replay", "last"}, {"runs", "show", "last", "-v"}, {"runs", "show", "last", "--json"}} {
				p := w.start(c...)
				<-p.done
				code := p.cmd.ProcessState.ExitCode()
				if want := map[string]int{"plan": 0, "run": 1, "replay": 0, "runs": 0}[c[0]]; code != want {
					t.Errorf("%q: exit code %d\n%s%s", c, code, p.stdout, p.stderr)
				}
				shown.WriteString(p.stdout.String() + p.stderr.String())
			}
			left := map[string]string{"what was shown": shown.String()}
			w.must(filepath.WalkDir(w.dir, func(p string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				b, err := os.ReadFile(p)
				left[strings.TrimPrefix(p, w.dir)] = string(b)
				return err
			}))
			if !strings.Contains(left["/target/put"], `{"pw":"pa'ss \"w0rd\" %41\u0026\u003cé\u003e"}`) || left["/target/stdin"] != values["app/key"] || !strings.Contains(left["/target/template"], values["app/key"]) {
				t.Errorf("the files do not have them: %q", left["/target/put"])
			}
			for name, secret := range values {
				for form, text := range secretForms(secret) {
					for where, all := range left {
						if strings.HasPrefix(where, "/target/") || where == "/secrets/sources.yaml" {
							continue
						}
						if i := strings.Index(all, text); i >= 0 {
							t.Errorf("%s, %s, is in %s: %q", name, form, where, all[max(0, i-100):i+len(text)])
						}
					}
				}
			}
			for _, line := range []string{"MIIabcdefghijklmnop", "qrstuvwxyz0123456789"} {
				for where, all := range left {
					if !strings.HasPrefix(where, "/target/") && strings.Contains(all, line) {
						t.Errorf("a line of the key is in %s", where)
					}
				}
			}
		})
	}
}
