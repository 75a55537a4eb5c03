package controller

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/transport"
)

// TestSpelled: a host that asks by itself gets what the bundle names, and what a repository has for everyone.
func TestSpelled(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	put := func(file, text string) {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{
		"files/motd", "vars/all.json", "vars/web2.yaml", ".git/config", ".git/HEAD", "secrets/db.age", "secrets/web2/key", "keys/db.age", "inventory.star", "fab.toml", "site/.htaccess",
		"site/index", "site/.git/HEAD", ".ssh/id", "deep/secrets/key", "web1.star",
	} {
		put(filepath.Join(root, name), name)
	}
	put(filepath.Join(outside, "hosts"), "x")
	put(filepath.Join(outside, "tree/file"), "x")
	spelled := Spelled{"motd", "config", "HEAD", "key", "id", "vars", "site", "all", "web2", "git", "/etc", "//keys/db.age", outside + "/hosts", outside + "/tree", "secrets/db.age"}
	ask := func(what transport.Question, name string) error {
		c := &Controller{Root: root, AbsolutePaths: true, Spelled: spelled}
		_, err := c.Over(nil).Do(context.Background(), transport.Ask{What: what, Name: transport.Text(name)})
		return err
	}
	for name, want := range map[string]bool{
		"//files/motd": true, "//web1.star": true, "//keys/db.age": true, "//secrets/db.age": true, "//site/index": true, "//site/.htaccess": true, "//site/.git/HEAD": true,
		outside + "/hosts": true, outside + "/tree/file": true,
		"//vars/all.json": false, "//VARS/all.json": false, "//vars/web2.yaml": false, "//.git/config": false, "//.git/HEAD": false, "//files/../.git/config": false, "//./vars/all.json": false,
		"//secrets/web2/key": false, "//deep/secrets/key": false, "//inventory.star": false, "//fab.toml": false, "//.ssh/id": false, "//../" + filepath.Base(outside) + "/hosts": false,
		"/etc/hostname":  true, // the bundle says /etc: whether there or here cannot be told
		"/root/.profile": false, "/proc/self/environ": false, "relative": false,
	} {
		err := ask(transport.AskFile, name)
		if refused := transport.KindOf(err) == transport.Refused; refused == want || want && err != nil && !os.IsNotExist(err) && !strings.HasPrefix(name, "/etc") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]bool{"//site": true, "//files": true, outside + "/tree": true, "//": false, "//.": false, "//vars": false, "//.git": false, "//secrets": false, "//deep": false, "/root": false} {
		if err := ask(transport.AskTree, name); (err == nil) != want {
			t.Errorf("the tree of %s: %v", name, err)
		}
	}
	for name, want := range map[string]bool{
		"//site/new": true, "//site/x.star": false, "//web1.star": false, "//.git/hooks/pre-commit": false, "//vars/all.json": false, "//elsewhere": false, "/root/.ssh/authorized_keys": false,
		"@fab//nginx.star": false, "//config": true, "//.git/config": false, "//site/../.git/HEAD": false,
	} {
		c := &Controller{Root: root, AbsolutePaths: true, Spelled: spelled}
		if err := c.Deliver(name, transport.String("x")); (err == nil) != want {
			t.Errorf("deliver to %s: %v", name, err)
		}
	}
}
