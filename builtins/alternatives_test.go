package builtins

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// updatesAlternatives is as much of update-alternatives(1) as the tests need.
func updatesAlternatives(f *fake.Fake) {
	f.MakeDir(alternativesLinks, "0755")
	f.MakeDir(alternativesAdmin, "0755")
	f.OnExec("update-alternatives", func(ctx context.Context, f *fake.Fake, op transport.Exec) (transport.Output, error) {
		var argv []string
		for _, a := range op.Argv[1:] {
			argv = append(argv, string(a))
		}
		name := argv[1]
		if argv[0] == "--install" {
			name = argv[2]
		}
		text, _ := f.ReadFile(alternativesAdmin.Join(name))
		g, err := parseAlternatives(text)
		if err != nil {
			g.status = "auto"
		}
		fi, _ := transport.Do[transport.FileInfo](ctx, f, transport.Stat{Path: alternativesLinks.Join(name)})
		value := string(fi.Target)
		switch argv[0] {
		case "--install":
			g.link = argv[1]
			c := alternativeChoice{priority: argv[4]}
			g.slaves = nil
			for i := 5; i+3 < len(argv); i += 4 {
				g.slaves = append(g.slaves, slave{name: argv[i+2], link: argv[i+1]})
				c.slaves = append(c.slaves, slave{argv[i+2], argv[i+1], argv[i+3]})
			}
			g.paths[argv[3]] = c
		case "--set":
			g.status, value = "manual", argv[2]
		case "--auto":
			g.status = "auto"
		case "--remove":
			delete(g.paths, argv[2])
		}
		if g.status == "auto" {
			value = sortedKeys(g.paths)[0]
		}
		out := g.status + "\n" + g.link + "\n"
		for _, s := range g.slaves {
			out += s.name + "\n" + s.link + "\n"
		}
		out += "\n"
		for _, p := range sortedKeys(g.paths) {
			out += p + "\n" + g.paths[p].priority + "\n"
			for i := range g.slaves {
				if i < len(g.paths[p].slaves) {
					out += g.paths[p].slaves[i].path
				}
				out += "\n"
			}
		}
		f.WriteFile(alternativesAdmin.Join(name), out+"\n", "0644")
		_, err = f.Do(ctx, transport.Link{Path: alternativesLinks.Join(name), Target: transport.Text(value)})
		return transport.Output{}, err
	})
}

func TestAlternativesLaws(t *testing.T) {
	s, f := newFake(t)
	updatesAlternatives(f)
	for _, p := range []transport.Path{"/usr/bin/a", "/usr/bin/b", "/usr/bin/c"} {
		f.WriteFile(p, "", "0755")
	}
	for _, c := range []struct{ name, source, want string }{
		{"made known", `alternatives.set("editor", "/usr/bin/b", link = "/usr/bin/editor", priority = 10)`, "manual /usr/bin/b b:10"},
		{"another", `alternatives.set("editor", "/usr/bin/a", link = "/usr/bin/editor", priority = -5)`, "manual /usr/bin/a a:-5 b:10"},
		{"chosen", `alternatives.set("editor", "/usr/bin/b")`, "manual /usr/bin/b a:-5 b:10"},
		{"priority", `alternatives.set("editor", "/usr/bin/b", link = "/usr/bin/editor", priority = 20)`, "manual /usr/bin/b a:-5 b:20"},
		{"slaves", `alternatives.set("editor", "/usr/bin/b", link = "/usr/bin/editor", priority = 20, slaves = {"editor.1.gz": ["/usr/share/man/editor", "/usr/share/man/b"]})`, "manual /usr/bin/b a:-5 b:20"},
		{"auto", `alternatives.auto("editor")`, "auto /usr/bin/a a:-5 b:20"},
		{"chosen, as it is", `alternatives.set("editor", "/usr/bin/a")`, "manual /usr/bin/a a:-5 b:20"},
		{"absent", `alternatives.absent("editor", "/usr/bin/b")`, "manual /usr/bin/a a:-5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.on(t).law(c.source, f.Snapshot)
			g, value, _, err := alternatives(t.Context(), f, "editor")
			got := g.status + " " + value
			for _, p := range sortedKeys(g.paths) {
				got += fmt.Sprintf(" %s:%s", transport.Path(p).Base(), g.paths[p].priority)
			}
			if err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	if got := s.run("alternatives.absent(\"editor\", \"/usr/bin/b\")\nalternatives.absent(\"nothing\", \"/usr/bin/b\")").ok().status(); strings.Contains(got, "changed") {
		t.Errorf("%s", got)
	}
	s.run(`alternatives.set("editor", "/usr/bin/c")`).fails(journal.Broken, "known are /usr/bin/a")
	s.run(`alternatives.set("editor", "/usr/bin/d")`).fails(journal.Broken, "there is no such file")
	s.run(`alternatives.auto("nothing")`).fails(journal.Broken, "there are no such alternatives")
	if got := s.plan("run([\"true\"])\nalternatives.set(\"editor\", \"/usr/bin/d\")").ok().status(); !strings.Contains(got, "alternative:editor unknown") {
		t.Errorf("a program that a command may bring: %s", got)
	}
	f.WriteFile(alternativesAdmin.Join("torn"), "auto\n", "0644")
	s.run(`alternatives.set("torn", "/usr/bin/a")`).fails(journal.Broken, "not as update-alternatives writes it")
}

// TestAlternativesFile reads what Debian has.
func TestAlternativesFile(t *testing.T) {
	g, err := parseAlternatives("auto\n/usr/bin/pager\npager.1.gz\n/usr/share/man/man1/pager.1.gz\n\n/bin/more\n50\n/usr/share/man/man1/more.1.gz\n/usr/bin/less\n77\n\n\n")
	if err != nil || g.status != "auto" || g.link != "/usr/bin/pager" || len(g.paths) != 2 || g.paths["/usr/bin/less"].priority != "77" || g.paths["/usr/bin/less"].text() != "" ||
		g.paths["/bin/more"].text() != "/usr/share/man/man1/pager.1.gz -> /usr/share/man/man1/more.1.gz" {
		t.Errorf("got %+v, %v", g, err)
	}
}

func TestAlternativesRefusals(t *testing.T) {
	s, _ := newFake(t)
	for _, c := range []struct{ source, want string }{
		{`alternatives.set("a/b", "/x")`, "is no name of a group"},
		{`alternatives.set("--all", "/x")`, "is no name of a group"},
		{`alternatives.set("a", "x")`, "is not absolute"},
		{`alternatives.set("a", "/x\ny")`, "line break"},
		{`alternatives.set("a", "/x", link = "/y")`, "belong together"},
		{`alternatives.set("a", "/x", priority = 1)`, "belong together"},
		{`alternatives.set("a", "/x", slaves = {})`, "need link and priority"},
		{`alternatives.set("a", "/x", link = "/y", priority = 1, slaves = [])`, "a dict such as"},
		{`alternatives.set("a", "/x", link = "/y", priority = 1, slaves = {"b": ["c", "/d"]})`, "both absolute"},
		{`alternatives.auto("")`, "is no name of a group"},
		{`alternatives.absent("a b", "/x")`, "is no name of a group"},
	} {
		s.run(c.source).fails(journal.Invalid, c.want)
	}
}
