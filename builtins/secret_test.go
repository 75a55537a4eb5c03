package builtins

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

const password = `pa'ss "w0rd <&>`

// newSecretive is a stage whose repository has secrets.
func newSecretive(t *testing.T) *stage {
	s := newLocal(t)
	s.secret = func(name string) ([]byte, error) {
		v, ok := map[string]string{"db": password, "hash": "$6$salt$abcdefgh", "app/key": "line one of the key\nline two of the key\n"}[name]
		if !ok {
			return nil, errors.New("there is no secret " + name)
		}
		return []byte(v), nil
	}
	return s
}

// silent demands that no record and no content that was kept has the secret in it.
func (p *performance) silent(t *testing.T) *performance {
	t.Helper()
	var all []string
	for _, r := range p.records {
		b, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	for _, c := range p.kept {
		b, err := c.ReadAll(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	encoded, err := json.Marshal(password)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		for _, form := range []string{password, "w0rd", "the key", string(encoded[1 : len(encoded)-1]), base64.StdEncoding.EncodeToString([]byte(password))[:16], "$6$salt", "old secret"} {
			if strings.Contains(s, form) {
				t.Errorf("%q is in %s", form, s)
			}
		}
	}
	return p
}

func TestSecretsConverge(t *testing.T) {
	for name, source := range map[string]string{
		"file.put":      `file.put(DIR + "/f", content = "pw = %s\n" % secret("db"))`,
		"mode":          `file.put(DIR + "/f", content = secret("db"), mode = "0640")`,
		"file.template": `file.template("t.j2", DIR + "/f", vars = {"pw": secret("db"), "key": secret("app/key")})`,
		"file.line":     `file.line(DIR + "/old", line = "pw=" + secret("db"), match = "^pw=")`,
		"file.block":    `file.block(DIR + "/old", content = secret("app/key"))`,
		"file.replace":  `file.replace(DIR + "/old", match = "^pw=.*", replacement = "pw=" + json.encode(secret("db")))`,
		"file.sync":     `file.sync("tree", DIR + "/tree", vars = {"pw": secret("db")})`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecretive(t)
			dir := t.TempDir()
			s.write("t.j2", "{{ pw | quote }} {{ pw | b64encode }} {{ {'k': pw} | to_json }}\n{{ key }}")
			s.write("tree/a.j2", "pw={{ pw }}\n")
			source := strings.ReplaceAll(source, "DIR", `"`+dir+`"`)
			if err := os.WriteFile(filepath.Join(dir, "old"), []byte("a\npw=old secret\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := s.law(source, nil).silent(t)
			for _, e := range p.ends() {
				for _, d := range e.Diff {
					if d.Text != "" || strings.Contains(d.From+d.To, "old secret") {
						t.Errorf("the difference is shown: %+v", d)
					}
				}
			}
			s.plan(source).ok().silent(t)
			got := tree(t, dir)
			if !strings.Contains(got, "w0rd") && !strings.Contains(got, "line two of the key") {
				t.Errorf("the secret is not in the file: %s", got)
			}
			if strings.Contains(got, "\U000F0100") {
				t.Errorf("a token is in the file: %s", got)
			}
			// Another secret of that name is a change.
			s.secret = func(name string) ([]byte, error) { return []byte("quite another one\n"), nil }
			if p := s.run(source).ok(); len(p.changedResources()) == 0 {
				t.Error("a new secret is no change")
			}
		})
	}
}

func TestSecretIsPrivate(t *testing.T) {
	s := newSecretive(t)
	dir := t.TempDir()
	s.run(`file.put("` + dir + `/f", content = secret("db"))
file.put("` + dir + `/g", content = "x", mode = "0644")`).ok()
	s.run(`file.put("` + dir + `/g", content = secret("db"))`).ok()
	for _, f := range []string{"f", "g"} {
		info, err := transport.Do[transport.FileInfo](t.Context(), s.host, transport.Stat{Path: transport.Path(dir + "/" + f)})
		if err != nil || info.Mode != "0600" {
			t.Errorf("%s: %s, %v", f, info.Mode, err)
		}
	}
}

// TestSecretIsForNobodyElse: no builtin writes one where everybody may read it.
func TestSecretIsForNobodyElse(t *testing.T) {
	s := newSecretive(t)
	dir := t.TempDir()
	for _, source := range []string{
		`file.put("` + dir + `/f", content = secret("db"), mode = "0644")`, `file.template("t.j2", "` + dir + `/f", vars = {"pw": secret("db")}, mode = "0601")`,
		`file.line("` + dir + `/f", line = secret("db"), create = True, mode = "0664")`,
	} {
		s.write("t.j2", "{{ pw }}")
		s.run(source).fails(journal.Broken, "everybody on the host could read it")
		s.plan(source).fails(journal.Broken, "everybody on the host could read it")
	}
	s.host = fake.New(fake.Options{})
	s.run(`cron.job("x", command = "echo " + secret("db"), special = "daily", file = "x")`).fails(journal.Broken, "everybody on the host could read it")
}

func TestSecretsInCommands(t *testing.T) {
	s := newSecretive(t)
	p := s.run(`r = run(["cat"], stdin = "x" + secret("db"))
note(r.stdout)
if r.stdout != "x" + secret("db"):
    fail("what comes back is not what went")
run(["sh", "-c", "cat >&2; exit 3"], stdin = secret("db"), ok_codes = [3])
query(["cat"], stdin = secret("app/key"))`).ok().silent(t)
	if got := p.notes(); !strings.HasPrefix(got, "x") || strings.Contains(got, "w0rd") {
		t.Errorf("%q", got)
	}
	p = s.run(`run(["sh", "-c", "cat >&2; exit 3"], stdin = secret("db"))`).silent(t)
	if p.verdict != journal.Broken || p.finish.Error.Stderr == "" {
		t.Errorf("%+v", p.finish)
	}
	for _, source := range []string{
		`run(["echo", secret("db")])`, `run("echo " + secret("db"))`, `query(["echo"], env = {"PW": secret("db")})`, `file.put("/tmp/" + secret("db"), content = "x")`,
		`file.put("/tmp/x", content = secret("db").upper())`, `file.put("/tmp/x", content = secret("db")[3:])`, `run(["cat"], stdin = secret("db")[:-1])`,
	} {
		for _, p := range []*performance{s.run(source).silent(t), s.plan(source).silent(t)} {
			if p.verdict == journal.Finished && !strings.Contains(source, "run(") { // a plan does not send what changes
				t.Errorf("%s: %s", source, p.verdict)
			}
		}
		if p := s.run(source); p.verdict != journal.Broken {
			t.Errorf("%s: %s", source, p.verdict)
		}
	}
	s.run(`secret("nosuch")`).fails(journal.Invalid, "there is no secret nosuch")
	s.run(`secret("../x")`).fails(journal.Invalid, "is no name of a secret")
}

// TestSecretsAreReplayed: a finished run is evaluated again without the secrets.
func TestSecretsAreReplayed(t *testing.T) {
	s := newSecretive(t)
	dir := t.TempDir()
	source := `file.put("` + dir + `/f", content = secret("db"))
note(query(["cat", "` + dir + `/f"]).stdout)`
	p := s.run(source).ok()
	s.again, s.secret = p, nil
	if q := s.run(source).ok(); q.notes() != p.notes() {
		t.Errorf("%q, %q", q.notes(), p.notes())
	}
}
