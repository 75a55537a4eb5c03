package builtins

import (
	"context"
	"testing"

	"fabgo/transport"
)

// What lies on a host keeps the owner that nobody named, and gets the one that was, in a system where any owner can be set.
func TestEditAndSyncOwners(t *testing.T) {
	s := newSandbox(t)
	s.write("site/index.html", "hi\n")
	s.write("site/sub/page.html", "page\n")
	s.run(`
user.present("app")
file.dir("/srv/own")
file.put("/srv/own/conf", content = "a = 1\n", owner = "app", group = "app", mode = "0640")
`).ok()
	s.law(`file.line("/srv/own/conf", line = "a = 2", match = "^a = ")`, nil)
	s.law(`file.block("/srv/own/conf", content = "b")`, nil)
	s.law(`file.replace("/srv/own/conf", match = "^b$", replacement = "c")`, nil)
	s.law(`file.line("/srv/own/new", line = "x", create = True, owner = "app", mode = "0600")`, nil)
	s.law(`file.sync("site", "/srv/own/www", owner = "app", group = "app", mode = "0640", dir_mode = "0750")`, nil)
	want := map[transport.Path]string{
		"/srv/own/conf": "app app 0640", "/srv/own/new": "app app 0600", "/srv/own": "root root 0755",
		"/srv/own/www": "app app 0750", "/srv/own/www/sub": "app app 0750", "/srv/own/www/sub/page.html": "app app 0640",
	}
	owners := func() {
		t.Helper()
		for p, want := range want {
			fi, err := transport.Do[transport.FileInfo](context.Background(), s.host, transport.Stat{Path: p})
			if got := string(fi.Owner) + " " + string(fi.Group) + " " + string(fi.Mode); err != nil || got != want {
				t.Errorf("%s belongs to %s, %v; want %s", p, got, err, want)
			}
		}
	}
	owners()
	s.law(`file.line("/srv/own/conf", line = "a = 2", owner = "root", group = "root")`, nil) // the owner alone
	want["/srv/own/conf"] = "root root 0640"
	s.run(`run(["chown", "root:root", "/srv/own/www/sub/page.html"])`).ok()
	s.law(`file.sync("site", "/srv/own/www", owner = "app", group = "app")`, nil)
	owners()
}
