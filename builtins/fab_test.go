package builtins

import (
	"io/fs"
	"strings"
	"testing"

	"fabgo/bundles"
	"fabgo/internal/journal"
	"fabgo/interp"
	"fabgo/transport/hosttest/fake"
)

// TestFabDocs: each file of @fab says what it is, and each function what it does, takes, returns and refuses.
func TestFabDocs(t *testing.T) {
	names, err := fs.Glob(bundles.Fab(), "*.star")
	if err != nil || len(names) < 2 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		src, err := fs.ReadFile(bundles.Fab(), name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := interp.ReadDoc("@fab//"+name, string(src))
		if err != nil {
			t.Fatal(err)
		}
		family := strings.TrimSuffix(name, ".star")
		if !strings.HasPrefix(doc.Summary, family+": ") || !strings.Contains(doc.Doc, `load("@fab//`+name+`", "`+family+`")`) {
			t.Errorf("%s: its docstring should begin with %q and show how it is loaded: %q", name, family+": ", doc.Summary)
		}
		if len(doc.Functions) == 0 {
			t.Errorf("%s offers no function", name)
		}
	}
}

// TestFabWorstInput: what a library cannot do it refuses before anything is touched, and says what to do instead.
func TestFabWorstInput(t *testing.T) {
	for library, cases := range map[string][]struct{ call, want string }{
		"sudoers": {
			{`sudoers.put("a.b", content = "x")`, `name "a.b": sudo reads only files whose names`},
			{`sudoers.put("../x", content = "x")`, `choose such a name`},
			{`sudoers.put("x", content = " \n")`, `remove the file with sudoers.absent("x")`},
			{`sudoers.grant("x", commands = ["ALL"])`, `give either user or group`},
			{`sudoers.grant("x", user = "a", group = "b", commands = ["ALL"])`, `give either user or group`},
			{`sudoers.grant("x", user = "a b", commands = ["ALL"])`, `no name of a user or group`},
			{`sudoers.grant("x", user = "a", run_as = "root) NOPASSWD: ALL", commands = ["ALL"])`, `no name of a user or group`},
			{`sudoers.grant("x", user = "a", commands = [["systemctl"]])`, `the absolute path of its program`},
			{`sudoers.grant("x", user = "a", commands = [["/bin/x", "a\nb ALL=(ALL) ALL"]])`, `holds a line break`},
			{`sudoers.grant("x", user = "a", commands = "ALL")`, `want a list that is not empty`},
			{`sudoers.absent("")`, `choose such a name`},
		},
		"logrotate": {
			{`logrotate.put("x.bak", content = "x")`, `letters, digits, _ and -`},
			{`logrotate.put("x", content = "")`, `logrotate.absent("x")`},
			{`logrotate.rotate("x", paths = "/var/log/x")`, `want a list that is not empty`},
			{`logrotate.rotate("x", paths = ["var/log/x"])`, `want an absolute path`},
			{`logrotate.rotate("x", paths = ["/x"], every = "dayly")`, `want one of hourly, daily`},
			{`logrotate.rotate("x", paths = ["/x"], keep = -1)`, `not negative`},
			{`logrotate.rotate("x", paths = ["/x"], user = "app")`, `give user and group together`},
			{`logrotate.rotate("x", paths = ["/x"], create = "0640 a a\n}")`, `want a text of one line`},
			{`logrotate.rotate("x", paths = ["/x"], create = "0640 a a", copytruncate = True)`, `give one of them`},
			{`logrotate.rotate("x", paths = ["/x"], after = "x\nendscript\n")`, `put the commands into a script`},
			{`logrotate.absent("/etc/passwd")`, `letters, digits, _ and -`},
		},
		"ssh": {
			{`ssh.settings("a/b", {"Port": 22})`, `letters, digits, _ and -`},
			{`ssh.settings("x", {})`, `ssh.absent("x")`},
			{`ssh.settings("x", {"Match": "user a"})`, `opens a block`},
			{`ssh.settings("x", {"Permit Root": True})`, `no name of a setting`},
			{`ssh.settings("x", {"Banner": "a\nPermitRootLogin yes"})`, `want a text of one line`},
			{`ssh.settings("x", {"AllowUsers": []})`, `leave the setting out`},
			{`ssh.absent("x.conf")`, `letters, digits, _ and -`},
		},
		"postgresql": {
			{`postgresql.user("")`, `want a text that is not empty`},
			{`postgresql.user("x" * 64)`, `cuts names off behind 63`},
			{`postgresql.user("a", password = "")`, `printable ASCII`},
			{`postgresql.user("a", password = "päss")`, `printable ASCII`},
			{`postgresql.user("a", password = "md5abc")`, `begins as a hash does`},
			{`postgresql.user("a", createdb = "yes")`, `want True or False`},
			{`postgresql.user("a", port = 0)`, `from 1 to 65535`},
			{`postgresql.user_absent("a\0b")`, `no zero byte`},
			{`postgresql.database("")`, `want a text that is not empty`},
			{`postgresql.database_absent("postgres")`, `the server needs it`},
			{`postgresql.schema("", database = "a")`, `want a text that is not empty`},
			{`postgresql.extension("x", database = "")`, `want a text that is not empty`},
			{`postgresql.grant("a", database = "b", privileges = ["SELECT"])`, `want some of CONNECT, CREATE, TEMPORARY`},
			{`postgresql.grant("a", database = "b", privileges = [], schema = "c")`, `want a list that is not empty`},
			{`postgresql.grant("a", database = "b", privileges = ["SELECT"], tables = True)`, `give it too`},
			{`postgresql.sql("select 1", database = "a", params = {"ON_ERROR_STOP": "0"})`, `lower-case letters`},
			{`postgresql.sql("select 1", database = "a", params = {"x": ["y"]})`, `got list, want a text`},
			{`postgresql.query("", database = "a")`, `want a text that is not empty`},
			{`postgresql.dump("a", "a.dump")`, `want an absolute path`},
			{`postgresql.restore("a", "a.dump")`, `want an absolute path`},
		},
		"supervisor": {
			{`supervisor.program("a:b", command = ["/x"], user = "a")`, `letters, digits, _ and -`},
			{`supervisor.program("a", command = "/x y", user = "a")`, `want a list that begins with an absolute path`},
			{`supervisor.program("a", command = ["x"], user = "a")`, `want a list that begins with an absolute path`},
			{`supervisor.program("a", command = ["/x", "a\n[b]"], user = "a")`, `want a text of one line`},
			{`supervisor.program("a", command = ["/x", "a ;b"], user = "a")`, `put the command into a script`},
			{`supervisor.program("a", command = ["/x"], user = "a", directory = "srv")`, `want an absolute path`},
			{`supervisor.program("a", command = ["/x"], user = "a", stop_seconds = 0)`, `above 0`},
			{`supervisor.program("a", command = ["/x"], user = "a", environment = {"A-B": "x"})`, `no name of a variable`},
			{`supervisor.program("a", command = ["/x"], user = "a", environment = {"A": "\""})`, `let the program read it from a file`},
			{`supervisor.absent("")`, `letters, digits, _ and -`},
		},
		"postfix": {
			{`postfix.settings({})`, `want a dict that is not empty`},
			{`postfix.settings({"-e": "x"})`, `no name of a setting`},
			{`postfix.settings({"relayhost": "a\nb"})`, `want a text of one line`},
			{`postfix.alias("a b", "c")`, `want a local name`},
			{`postfix.alias("a", [])`, `to is empty`},
			{`postfix.alias("a", "|rm -rf /")`, `is no address`},
		},
		"python": {
			{`python.venv("venv")`, `want an absolute path`},
			{`python.venv("/usr/")`, `belongs to the system`},
			{`python.venv("/srv/v", packages = "a b")`, `want a list of requirements`},
			{`python.venv("/srv/v", packages = ["--index-url=http://x"])`, `options belong in config`},
			{`python.venv("/srv/v", packages = ["a @ https://me:pw@host/x.tar.gz"])`, `put it in config`},
			{`python.venv("/srv/v", python = "-c")`, `want a program`},
			{`python.venv("/srv/v", config = "pip.conf")`, `the absolute path of a pip.conf`},
		},
		"redis": {
			{`redis.settings({})`, `want a dict that is not empty`},
			{`redis.settings({"Max Memory": 1})`, `no name of a setting`},
			{`redis.settings({"include": "/x"})`, `give its settings here`},
			{`redis.settings({"save": []})`, `leave the setting out`},
			{`redis.settings({"requirepass": "a\nb"})`, `want a text of one line`},
		},
	} {
		t.Run(library, func(t *testing.T) {
			s := newStage(t, fake.New(fake.Options{}))
			load := `load("@fab//` + library + `.star", "` + library + `")` + "\n"
			for _, c := range cases {
				p := s.run(load+c.call).fails(journal.Broken, c.want)
				if steps := p.status(); steps != "" {
					t.Errorf("%s: something was done before it was refused:\n%s", c.call, steps)
				}
				if strings.Contains(c.call, "pw@") && strings.Contains(p.finish.Error.Message, "pw@") {
					t.Errorf("%s: the error shows the password: %s", c.call, p.finish.Error.Message)
				}
			}
		})
	}
}

// TestFabSudoers: a file of rules on a real system, whose own visudo judges it.
func TestFabSudoers(t *testing.T) {
	s := newSandbox(t)
	load := `load("@fab//sudoers.star", "sudoers")` + "\n"
	s.law(load+`
sudoers.grant("deploy", user = "daemon", commands = [["/bin/ls", "-l", "a,b:c=d e*"], ["/bin/true"], "/bin/echo"])
sudoers.grant("ops", group = "adm", run_as = "ALL", commands = ["ALL"], password = True)
`, nil)
	s.run(load + `
text = file.read("/etc/sudoers.d/deploy")
want = r"""daemon ALL=(root) NOPASSWD: /bin/ls -l a\,b\:c\=d\ e\*
daemon ALL=(root) NOPASSWD: /bin/true ""
daemon ALL=(root) NOPASSWD: /bin/echo
"""
if text != want:
    fail(text)
query(["visudo", "-c"])
`).ok()
	s.run(load+`sudoers.put("deploy", content = "daemon ALL=(root NOPASSWD\n")`).fails(journal.Broken, "deploy")
	s.run(load + `
if not file.contains("/etc/sudoers.d/deploy", "/bin/true"):
    fail("the refused text is in place")
`).ok()
	s.law(load+`sudoers.absent("deploy")`, nil)
}
