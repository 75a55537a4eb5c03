package module

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// workshop is a folder of git repositories, and one repository that uses them.
type workshop struct {
	t   *testing.T
	dir string
	env []string
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	env := append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org")
	return &workshop{t, dir, env}
}

// url is the source of a repository of the workshop.
func (w *workshop) url(name string) string { return "file://" + filepath.ToSlash(w.dir) + "/" + name }

// publish makes a version of a module: its files, and what it requires as "NAME VERSION".
func (w *workshop) publish(name, version string, files map[string]string, requires ...string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, name)
	if !isDir(dir) {
		w.run("git", "init", "-q", dir)
	}
	for file, text := range files {
		w.write(filepath.Join(name, file), text)
	}
	w.write(filepath.Join(name, ModName), w.mod(name, requires...))
	w.run("git", "-C", dir, "add", ".")
	w.run("git", "-C", dir, "commit", "-q", "--allow-empty", "-m", version)
	w.run("git", "-C", dir, "tag", version)
}

func (w *workshop) mod(name string, requires ...string) string {
	text := "module " + name + "\n"
	for _, q := range requires {
		dep, version, _ := strings.Cut(q, " ")
		text += "require " + dep + " " + w.url(dep) + " " + version + "\n"
	}
	return text
}

func (w *workshop) write(name, text string) {
	w.t.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workshop) run(argv ...string) {
	w.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = w.env
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// open opens the repository that uses the others, with this fab.mod.
func (w *workshop) open(mod string) *Repository {
	w.t.Helper()
	w.write("web/"+ModName, mod)
	r, err := Open(Options{Root: filepath.Join(w.dir, "web"), Cache: filepath.Join(w.dir, "cache"), Environ: w.env})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// TestMinimalVersions: of a module the highest version that anybody names is used, and no newer one.
func TestMinimalVersions(t *testing.T) {
	w := newWorkshop(t)
	for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0", "v1.9.0", "v1.10.0"} {
		w.publish("base", v, map[string]string{"base.star": "version = '" + v + "'\n"})
	}
	w.publish("left", "v1.0.0", nil, "base v1.1.0")
	w.publish("right", "v1.0.0", nil, "base v1.9.0")
	w.write("web/web1.star", "load('@left//x.star', 'x')\nload(\"@right//x.star\", 'y')\n")
	r := w.open(w.mod("web", "left v1.0.0", "right v1.0.0"))
	if _, err := r.Tidy(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := r.lock["base"].Version; got != "v1.9.0" || len(r.lock) != 3 {
		t.Errorf("base is at %s, want v1.9.0; the lock is\n%s", got, r.lock)
	}
	if _, err := r.Use(context.Background(), "", "left"); err != nil {
		t.Fatal(err)
	}
	fsys, err := r.Use(context.Background(), "left", "base")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fs.ReadFile(fsys, "base.star"); err != nil || string(b) != "version = 'v1.9.0'\n" {
		t.Errorf("base.star is %q, %v", b, err)
	}
	if _, err := r.Use(context.Background(), "left", "right"); err == nil || !strings.Contains(err.Error(), "@right is not declared in @left//fab.mod") {
		t.Errorf("left uses right: %v", err)
	}
	if version, err := r.latest(context.Background(), w.url("base"), "v1"); err != nil || version != "v1.10.0" {
		t.Errorf("the latest is %s, %v", version, err)
	}
}

// TestConflicts: what one name cannot mean at once names both places.
func TestConflicts(t *testing.T) {
	w := newWorkshop(t)
	w.publish("base", "v1.0.0", nil)
	w.publish("base", "v2.0.0", nil)
	w.run("git", "clone", "-q", filepath.Join(w.dir, "base"), filepath.Join(w.dir, "copy"))
	w.publish("left", "v1.0.0", nil, "base v2.0.0")
	w.publish("round", "v1.0.0", nil, "back v1.0.0")
	w.publish("back", "v1.0.0", nil, "round v1.0.0")
	w.write("web/web1.star", "used = ['@base//', '@left//', '@other//', '@round//']\n")
	for mod, want := range map[string]string{
		w.mod("web", "base v1.0.0", "left v1.0.0"):                                                    "major versions are not compatible",
		w.mod("web", "left v1.0.0") + "require base " + w.url("copy") + " v2.0.0\n":                   "one name is one module",
		"require other " + w.url("base") + " v1.0.0\n":                                                "calls itself base: require it by that name",
		w.mod("web", "base v1.5.0"):                                                                   "fatal: couldn't find remote ref refs/tags/v1.5.0",
		w.mod("web", "base v1.0.0") + "replace base => ../nowhere\n":                                  "there is no folder ../nowhere to replace base",
		w.mod("web", "base v1.0.0", "left v1.0.0") + "replace base => " + w.url("base") + " v1.0.0\n": "",
		w.mod("web", "round v1.0.0"):                                                                  "", // modules may require each other: what is loaded may not form a cycle
	} {
		_, err := w.open(mod).Tidy(context.Background())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s%v, want %q", mod, err, want)
		}
	}
}

// TestEscapingSymlink: a module with a symlink that leads out is not unpacked.
func TestEscapingSymlink(t *testing.T) {
	w := newWorkshop(t)
	if err := os.MkdirAll(filepath.Join(w.dir, "evil"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.run("git", "init", "-q", filepath.Join(w.dir, "evil"))
	if err := os.Symlink("/etc/passwd", filepath.Join(w.dir, "evil", "x.star")); err != nil {
		t.Skip(err)
	}
	w.publish("evil", "v1.0.0", nil)
	_, err := w.open("").Add(context.Background(), "evil", w.url("evil"), "v1.0.0")
	if err == nil || !strings.Contains(err.Error(), "the symlink x.star leads out of the module, to /etc/passwd") {
		t.Errorf("got %v", err)
	}
}
