package builtins

import (
	"strings"
	"testing"
)

// TestOptions: what each option is for can be seen on the host afterwards, by a command that knows nothing of fabgo. The laws alone do
// not tell: a builtin that forgot an option would want too little, do too little, and agree with itself.
func TestOptions(t *testing.T) {
	s := newSandbox(t)
	s.write("t/blocks.j2", "{% if True %}\n  x\n    {% endif %}\nend\n")
	s.write("tree/secret", "s1 s1 s1\n")
	s.run(`
user.present("app")
group.present("team")
file.dir("/srv/o")
file.put("/srv/o/target", content = "t\n")
`).ok()
	for _, c := range []struct{ name, before, source, look, want string }{
		{"put force", `file.link("/srv/o/f1", target = "target")`, `file.put("/srv/o/f1", content = "x", force = True)`, "stat -c %F /srv/o/f1; cat /srv/o/target", "regular file\nt\n"},
		{"put backup", `file.put("/srv/o/f2", content = "old")`, `file.put("/srv/o/f2", content = "new", backup = True)`, "cat /srv/o/f2.*~", "old"},
		{"put owner and group", "", `file.put("/srv/o/f3", content = "x", owner = "app", group = "team")`, "stat -c '%U %G' /srv/o/f3", "app team\n"},
		{"put parents", "", `file.put("/srv/o/p/q/f", content = "x", parents = True, mode = "0600")`, "stat -c %a /srv/o/p /srv/o/p/q/f", "755\n600\n"},
		{"dir follow", `run("mkdir /srv/o/real && ln -s real /srv/o/alias")`, `file.dir("/srv/o/alias", mode = "0700", follow = True)`, "stat -c %a /srv/o/real; stat -c %F /srv/o/alias", "700\nsymbolic link\n"},
		{"dir recursive owner", `run("mkdir -p /srv/o/rec/sub && touch /srv/o/rec/sub/f && ln -s /etc/hostname /srv/o/rec/l")`,
			`file.dir("/srv/o/rec", owner = "app", group = "team", recursive = True)`, "cd /srv/o; stat -c '%n %U %G' rec rec/sub rec/sub/f rec/l; stat -c %U /etc/hostname",
			"rec app team\nrec/sub app team\nrec/sub/f app team\nrec/l app team\nroot\n"},
		{"link owner", "", `file.link("/srv/o/l1", target = "target", owner = "app", group = "team")`, "stat -c '%U %G' /srv/o/l1; stat -c %U /srv/o/target", "app team\nroot\n"},
		{"hard link force", `file.put("/srv/o/h1", content = "other")`, `file.link("/srv/o/h1", target = "/srv/o/target", hard = True, force = True)`, "test /srv/o/h1 -ef /srv/o/target && echo same", "same\n"},
		{"template blocks", "", `file.template("t/blocks.j2", "/srv/o/t1", trim_blocks = False)`, "cat /srv/o/t1", "\n  x\n    \nend\n"},
		{"template trim", "", `file.template("t/blocks.j2", "/srv/o/t2")`, "cat /srv/o/t2", "  x\n    end\n"},
		{"template lstrip", "", `file.template("t/blocks.j2", "/srv/o/t3", lstrip_blocks = True)`, "cat /srv/o/t3", "  x\nend\n"},
		{"user", "", `user.present("o1", uid = 4501, group = "team", comment = "The First", home = "/srv/o/home1", shell = "/bin/sh")`, "getent passwd o1 | sed 's/:[0-9]*:The/:GID:The/'; test -d /srv/o/home1 && echo home",
			"o1:x:4501:GID:The First:/srv/o/home1:/bin/sh\nhome\n"},
		{"user comment", `user.present("o1")`, `user.present("o1", comment = "Changed")`, "getent passwd o1 | cut -d: -f5", "Changed\n"},
		{"user move_home", `run("touch /srv/o/home1/mine")`, `user.present("o1", home = "/srv/o/home2", move_home = True)`, "ls /srv/o/home2; test -e /srv/o/home1 || echo gone", "mine\ngone\n"},
		{"user create_home", "", `user.present("o2", create_home = False)`, "getent passwd o2 | cut -d: -f6; test -e /home/o2 || echo none", "/home/o2\nnone\n"},
		{"user system", "", `user.present("o3", system = True)`, "test $(id -u o3) -lt 1000 && echo low; test -e /home/o3 || echo none", "low\nnone\n"},
		{"user system with home", "", `user.present("o4", system = True, create_home = True, home = "/srv/o/home4")`, "stat -c %U /srv/o/home4", "o4\n"},
		{"user groups", "", `user.present("o5", groups = ["team", "games"])`, "id -nG o5", "o5 games team\n"},
		{"user groups appended", "", `user.present("o5", groups = ["audio"])`, "id -nG o5 | tr ' ' '\\n' | sort | tr '\\n' ' '", "audio games o5 team "},
		{"user groups exact", "", `user.present("o5", groups = ["audio"], append = False)`, "id -nG o5", "o5 audio\n"},
		{"user expires", "", `user.present("o5", expires = "2031-02-03")`, "getent shadow o5 | cut -d: -f8", "22313\n"},
		{"user locked", `user.present("o6", password_hash = "` + hash + `", locked = False)`, `user.present("o6", locked = True)`, "getent shadow o6 | cut -d: -f2 | cut -c1-4", "!$6$\n"},
		{"user absent", "", `user.absent("o1", remove_home = True)`, "id o1 2>/dev/null || echo none; test -e /srv/o/home2 || echo gone", "none\ngone\n"},
		{"user absent keeps home", "", `user.absent("o4")`, "id o4 2>/dev/null || echo none; test -e /srv/o/home4 && echo kept", "none\nkept\n"},
		{"group system", "", `group.present("og1", system = True, members = ["app"])`, "test $(getent group og1 | cut -d: -f3) -lt 1000 && echo low; getent group og1 | cut -d: -f4", "low\napp\n"},
		{"group appended", "", `group.present("og1", members = ["o5"])`, "getent group og1 | cut -d: -f4", "app,o5\n"},
		{"group exact", "", `group.present("og1", members = ["o5"], append = False)`, "getent group og1 | cut -d: -f4", "o5\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.named(t)
			if c.before != "" {
				s.run(c.before).ok()
			}
			s.law(c.source, nil)
			s.looks(c.look, c.want)
		})
	}
	t.Run("sync sensitive", func(t *testing.T) {
		s := s.named(t)
		for _, content := range []string{"s1 s1 s1\n", "s2 s2 s2\n"} {
			s.write("tree/secret", content)
			p := s.run(`file.sync("tree", "/srv/o/sensitive", sensitive = True)`).ok()
			if d := p.diffs(); strings.Contains(d, "s1 s1") || strings.Contains(d, "s2 s2") {
				t.Errorf("the diff shows it: %s", d)
			}
		}
		s.looks("cat /srv/o/sensitive/secret", "s2 s2 s2\n")
	})
}

// looks demands what a command of the host prints.
func (s *stage) looks(command, want string) {
	s.t.Helper()
	s.vars = nil
	p := s.run("note(query(" + quoted(command) + ").stdout)").ok()
	if got := p.notes(); got != want {
		s.t.Errorf("%s: got %q, want %q", command, got, want)
	}
}

// quoted is a text of Starlark.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
