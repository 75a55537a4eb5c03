package builtins

import (
	"strings"
	"testing"

	"fabgo/internal/journal"
)

// diffs are the differences of all steps.
func (p *performance) diffs() string {
	var out []string
	for _, e := range p.ends() {
		out = append(out, differences(e.Diff))
	}
	return strings.Join(out, "\n")
}

func (p *performance) says(texts ...string) {
	p.t.Helper()
	all := p.status() + "\n" + p.diffs() + "\n" + p.notes()
	for _, text := range texts {
		if !strings.Contains(all, text) {
			p.t.Errorf("%q is not in\n%s", text, all)
		}
	}
}

// packages fills an archive with what the tests install.
func packages(a *archive) {
	a.build(deb{name: "lib-a", version: "1.0"})
	a.build(deb{name: "tool-a", version: "1.0-1", fields: "Depends: lib-a\nRecommends: extra-a\nProvides: virtual-a\n"})
	a.build(deb{name: "extra-a", version: "1.0"})
	a.build(deb{name: "other-a", version: "1.0", fields: "Provides: virtual-a\n"})
	a.build(deb{name: "single-a", version: "1.0", fields: "Provides: virtual-b\n"})
	a.build(deb{name: "pinned-a", version: "1.0-1"})
	a.build(deb{name: "pinned-a", version: "1.1-1"})
	a.build(deb{name: "conf-a", version: "1.0", files: map[string]string{"etc/conf-a.conf": "one\n"}, conffiles: []string{"/etc/conf-a.conf"}})
	a.build(deb{name: "clash-a", version: "1.0", fields: "Conflicts: other-a\n"})
	a.build(deb{name: "broken-a", version: "1.0", fields: "Depends: nowhere-a\n"})
	a.publish()
}

func TestPackageLaws(t *testing.T) {
	s, a := newAptStage(t)
	packages(a)
	for _, c := range []struct {
		name, source string
		want         []string
	}{
		{"repository, key and package", a.repo() + `pkg.install("tool-a", recommends = False)`, []string{"package:tool-a : absent -> installed 1.0-1", "package:lib-a : absent -> installed 1.0"}},
		{"recommended", `pkg.install("extra-a", "lib-a")`, []string{"package:extra-a : absent -> installed"}},
		{"virtual with one provider", `pkg.install("virtual-b")`, []string{"package:single-a : absent -> installed 1.0"}},
		{"range", `pkg.install("pinned-a=1.0*")`, []string{"absent -> installed 1.0-1"}},
		{"latest", `pkg.latest("pinned-a")`, []string{"version: 1.0-1 -> 1.1-1"}},
		{"downgrade", `pkg.install("pinned-a=1.0-1", downgrade = True)`, []string{"version: 1.1-1 -> 1.0-1"}},
		{"hold", `apt.hold("pinned-a")`, []string{"hold: no -> yes"}},
		{"unhold", `apt.unhold(["pinned-a", "nobody-knows"])`, []string{"hold: yes -> no"}},
		{"upgrade", `apt.upgrade(autoclean = True)`, []string{"package:pinned-a version: 1.0-1 -> 1.1-1"}},
		{"with configuration", `pkg.install("conf-a")`, nil},
		{"configuration stays", `pkg.absent("conf-a")`, []string{"package:conf-a : installed 1.0 -> absent"}},
		{"purge", `pkg.absent("conf-a", purge = True)`, []string{"files of configuration -> absent"}},
		{"what conflicts goes", `
pkg.install("other-a")
`, []string{"package:other-a"}},
		{"and the plan says so", `pkg.install("clash-a")`, []string{"package:other-a : installed 1.0 -> absent"}},
		{"what needs it goes", `pkg.absent("lib-a")`, []string{"package:tool-a : installed 1.0-1 -> absent"}},
		{"again", `pkg.install("tool-a")`, nil},
		{"autoremove", `
pkg.absent("tool-a")
`, nil},
		{"pin", `apt.pin("no-a", package = ["tool-a"], pin = "release o=test", priority = -1, explanation = "for a test")`, []string{"+Pin-Priority: -1"}},
		{"no pin", `apt.pin_absent("no-a")`, nil},
		{"answer", `apt.debconf("conf-a", "conf-a/port", 8080)`, []string{"debconf:conf-a/port : absent -> answered 8080"}},
		{"other answer", `apt.debconf("conf-a", "conf-a/port", 8081)`, []string{"answer: 8080 -> 8081"}},
		{"yes", `apt.debconf("conf-a", "conf-a/yes", True)`, nil},
		{"password", `apt.debconf("conf-a", "conf-a/password", "geheim geheim", type = "password")`, []string{"absent -> answered"}},
		{"other password", `apt.debconf("conf-a", "conf-a/password", "sehr geheim", type = "password")`, []string{"answer: another -> as wanted"}},
		{"disabled repository", `apt.repo("test", uris = "` + a.url + `", suites = "./", signed_by = "/etc/apt/keyrings/test.asc", enabled = False, architectures = ["amd64"], options = {"Languages": "none"})`, []string{"+Enabled: no"}},
		{"no repository", `apt.repo_absent("test")`, nil},
		{"no key", `apt.key_absent("test")`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.named(t).law(c.source, nil)
			p.says(c.want...)
			for _, r := range p.records {
				if b, err := r.MarshalJSON(); err != nil || strings.Contains(string(b), "geheim") {
					t.Errorf("the journal holds the password, or %v: %s", err, b)
				}
			}
		})
	}
}

func TestPackageAutoremove(t *testing.T) {
	s, a := newAptStage(t)
	packages(a)
	s.run(a.repo() + `
pkg.install("tool-a", recommends = False)
pkg.absent("tool-a")`).ok()
	s.plan(`apt.autoremove(purge = True)`).ok().says("package:lib-a : installed 1.0 -> absent")
	s.run(`apt.autoremove(purge = True)`).ok().says("package:lib-a : installed 1.0 -> absent")
	s.run(`apt.autoremove(purge = True)`).ok().says("apt:autoremove ok")
}

func TestPackageFailures(t *testing.T) {
	s, a := newAptStage(t)
	packages(a)
	s.run(a.repo()).ok()
	for _, c := range []struct{ source, want string }{
		{`pkg.install("nobody-knows")`, "Unable to locate package nobody-knows"},
		{`pkg.install("virtual-a")`, "tool-a 1.0-1"},
		{`pkg.install("pinned-a=2.0")`, "Version '2.0' for 'pinned-a' was not found"},
		{`pkg.install("broken-a")`, "nowhere-a but it is not installable"},
		{`pkg.install("tool-a", release = "nowhere")`, "'nowhere' is invalid for APT::Default-Release"},
		{`pkg.absent("hostname")`, "packages without which the system does not work"},
		{`apt.hold("nobody-knows")`, "it is not installed"},
		{`apt.deb("/nowhere.deb")`, "there is no such file"},
		{`apt.repo("x", uris = "` + a.url + `", suites = "./", signed_by = "nokey")`, "there is no key nokey"},
	} {
		s.plan(c.source).fails(journal.Broken, c.want)
		s.run(c.source).fails(journal.Broken, c.want)
	}
	s.run(`pkg.install("pinned-a")`).ok()
	s.plan(`pkg.install("pinned-a=1.0-1")`).fails(journal.Broken, "downgrade = True")
	s.run(`apt.hold("pinned-a")`).ok()
	s.run(`pkg.install("pinned-a=1.0-1", downgrade = True)`).fails(journal.Broken, "apt.unhold releases it")
}

// TestPackagePlanUnknown: what an earlier step of the plan may bring is not a spelling mistake.
func TestPackagePlanUnknown(t *testing.T) {
	s, a := newAptStage(t)
	packages(a)
	p := s.plan(a.repo() + "pkg.install(\"tool-a\")\npkg.install(\"tool-a\", \"lib-a\")").ok()
	if got := p.ends()[2]; got.Status != journal.Unknown || !strings.Contains(got.Because, "apt.repo apt:repo test") {
		t.Errorf("got %+v", got)
	}
	s.run(a.repo()).ok()
	s.plan(`run(["true"])` + "\n" + `pkg.install("tool-a")`).ok().says("pkg.install package:tool-a unknown")
	// a repository that was not written by apt.repo
	s.run(`file.put("/etc/apt/sources.list.d/more.sources", content = "Enabled: no\nTypes: deb\nURIs: http://127.0.0.1:1\nSuites: ./\n")`).ok()
	s.run(`run(["touch", "-d", "+1 minute", "/etc/apt/sources.list.d/more.sources"])`).ok()
	s.plan(`pkg.install("tool-a")`).ok().says("apt.update apt:index changed", "older than the list of repositories", "pkg.install package:tool-a unknown")
}

func TestPackageVirtualIsInstalled(t *testing.T) {
	s, a := newAptStage(t)
	packages(a)
	s.run(a.repo() + `pkg.install("other-a")`).ok()
	s.plan(`pkg.install("virtual-a")`).ok().says("pkg.install package:virtual-a ok")
}

// TestPackageBringsWhatIsEdited: an edit of a file that a package brings cannot be told before, and leaves only that file unknown.
func TestPackageBringsWhatIsEdited(t *testing.T) {
	s, a := newAptStage(t)
	packages(a)
	s.run(a.repo()).ok()
	s.write("site/index.html", "hi\n")
	source := `
pkg.install("conf-a")
file.line("/etc/conf-a.conf", line = "two")
file.dir("/srv/edited")
file.sync("site", "/srv/edited/www")
file.put("/usr/local/bin/edited", content = "x")
file.put("/etc/conf-a.d", content = "x")
`
	want := `pkg.install package:conf-a changed
file.line file:/etc/conf-a.conf unknown
file.dir file:/srv/edited changed
file.sync file:/srv/edited/www changed
file.put file:/usr/local/bin/edited changed
file.put file:/etc/conf-a.d unknown`
	plan := s.plan(source).ok()
	if got := plan.status(); got != want {
		t.Errorf("the plan says\n%s\nwant\n%s", got, want)
	}
	ends := plan.ends()
	if because := ends[len(ends)-1].Because; !strings.Contains(because, "pkg.install") {
		t.Errorf("the cause of what the package may bring: %s", because)
	}
	s.law(source, nil)
}
