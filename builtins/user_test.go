package builtins

import (
	"strings"
	"testing"

	"fabgo/internal/journal"
)

const hash = "$6$saltsalt$KGXcq7sjYbSTeTYSyFX1b1nEtDTZGVCLLIk0wULPxXnfBcPEsnTXR1rfJkuwqP7X7UVKYbSBqKsa9cPOWDz1U."

func TestUserLaws(t *testing.T) {
	s := newSandbox(t)
	for _, c := range []struct{ name, source string }{
		{"plain", `user.present("plain1")`},
		{"all", `
group.present("extra1", gid = 4321)
group.present("extra2", system = True)
user.present("all1", uid = 4322, group = "extra1", groups = ["extra2"], comment = "All One", home = "/srv/all1", shell = "/bin/bash", password_hash = "` + hash + `", locked = False, expires = "2031-02-03")`},
		{"system", `user.present("sys1", system = True, home = "/var/lib/sys1", shell = "/usr/sbin/nologin")`},
		{"system without home", `user.present("sys2", system = True)`},
		{"attributes of an account that is there", `user.present("all1", uid = 4400, comment = "Changed", home = "/srv/moved", move_home = True, shell = "/bin/sh", locked = True, expires = "never")`},
		{"groups appended", `user.present("all1", groups = ["games"])`},
		{"groups exact", `user.present("all1", groups = ["games"], append = False)`},
		{"no groups", `user.present("all1", groups = [], append = False)`},
		{"members", `group.present("extra2", members = ["all1", "plain1"])`},
		{"members exact", `group.present("extra2", members = ["sys1"], append = False)`},
		{"gid", `group.present("extra2", gid = 4444)`},
		{"unlock", `user.present("all1", password_hash = "` + hash + `", locked = False)`},
		{"home in folders that are not there", `user.present("deep1", home = "/srv/very/deep/home")`},
		{"an own group goes with its user", "user.absent(\"deep1\")\ngroup.absent(\"deep1\")"},
		{"a user and a file of it", "user.present(\"filer1\")\nfile.put(\"/srv/filed\", content = \"x\", owner = \"filer1\")\nuser.present(\"filer1\", home = \"/home/filer1\", locked = True)"},
		{"odd name", `user.present("odd.name_1")`},
		{"absent", `user.absent("plain1", remove_home = True)`},
		{"group absent", `group.absent("extra2")`},
	} {
		t.Run(c.name, func(t *testing.T) {
			stage := *s
			stage.t, stage.dir = t, t.TempDir()
			stage.law(c.source, nil)
		})
	}
}

func TestUserHashIsNowhere(t *testing.T) {
	s := newSandbox(t)
	p := s.run(`user.present("hashed", password_hash = "` + hash + `", locked = False)`).ok()
	for _, r := range p.records {
		b, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "saltsalt") {
			t.Errorf("the journal holds the hash: %s", b)
		}
	}
	got := s.run(`note(query(["getent", "shadow", "hashed"]).stdout)`).ok().notes()
	if !strings.HasPrefix(got, "hashed:"+hash+":") {
		t.Errorf("shadow holds %q", got)
	}
}

func TestUserRefusals(t *testing.T) {
	s := newLocal(t)
	for _, c := range []struct{ source, want string }{
		{`user.present("bad:name")`, `"bad:name" is no name of a user or group`},
		{`user.present("-x")`, "is no name"},
		{`user.present("x", password_hash = "secret")`, "openssl passwd -6"},
		{`user.present("x", expires = "tomorrow")`, `"2027-01-31"`},
		{`user.present("x", append = False)`, "needs groups"},
		{`user.present("x", comment = "a:b")`, "holds a colon"},
		{`user.present("x", uid = -1)`, "is no id"},
		{`user.present("x", shell = "bash")`, "shell: path \"bash\" is not absolute"},
		{`user.absent("root")`, "root is not removed"},
		{`group.present("x", members = ["a b"])`, "is no name"},
		{`group.present("x", append = False)`, "needs members"},
		{`group.absent("a/b")`, "is no name"},
	} {
		s.run(c.source).fails(journal.Invalid, c.want)
	}
}

func TestUserFailures(t *testing.T) {
	s := newSandbox(t)
	s.run(`user.present("nogroup1", groups = ["doesnotexist"])`).fails(journal.Broken, "group.present makes them")
	s.run(`group.absent("root")`).fails(journal.Broken, "primary group")
}

func TestUserPlanOnPredictedGroup(t *testing.T) {
	s := newLocal(t)
	p := s.plan(`
group.present("planned1")
user.present("planned2", group = "planned1")
user.present("planned2", group = "planned1", shell = "/bin/sh")
`).ok()
	if got := p.status(); strings.Count(got, "changed") != 3 {
		t.Errorf("got %s", got)
	}
}
