package inventory

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// written is the inventory of a repository that holds this text, and web.star.
func written(t *testing.T, text string) (*Inventory, error) {
	t.Helper()
	dir := filepath.Dir(repo(t, map[string]string{File: text, "web.star": "", "bundles/db.star": ""}))
	return Read(dir, "")
}

const whole = `
hosts:
  web1: {address: 203.0.113.5, user: deploy, port: 2222, bundle: web.star, groups: [web]}
  web2:
    bundle: ./web.star
  db1: &db
    address: db1.example.com
    bundle: bundles/db.star
  db2: *db
groups:
  web: [web2]
  production: [web, db1]
  everywhere: [production, db2]
  spare:
`

func TestInventory(t *testing.T) {
	inv, err := written(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	h, ok := inv.Host("web1")
	if !ok || h.Address != "203.0.113.5" || h.User != "deploy" || h.Port != 2222 || h.Bundle != "web.star" || h.Line != 3 {
		t.Errorf("%+v", h)
	}
	if _, ok := inv.Host("web"); ok {
		t.Error("a group is a host")
	}
	for group, want := range map[string]string{"web": "web1,web2", "production": "db1,web1,web2", "everywhere": "db1,db2,web1,web2", "all": "db1,db2,web1,web2", "spare": ""} {
		if got, ok := inv.Members(group); !ok || strings.Join(got, ",") != want {
			t.Errorf("%s: %v, %v", group, got, ok)
		}
	}
	if _, ok := inv.Members("web1"); ok {
		t.Error("a host is a group")
	}
	var got []string
	for _, g := range inv.GroupsOf("web1") {
		got = append(got, g.Name+"<"+strings.Join(g.Above, "+"))
	}
	if s := strings.Join(got, " "); s != "everywhere< production<everywhere web<everywhere+production" {
		t.Errorf("groups of web1: %s", s)
	}
	if got := inv.For("web.star"); !slices.Equal(got, []string{"web1", "web2"}) {
		t.Errorf("for web.star: %v", got)
	}
	if inv, err := Read(t.TempDir(), ""); err != nil || inv.Path != "" || len(inv.Names()) > 0 {
		t.Errorf("no inventory: %+v, %v", inv, err)
	}
	for _, text := range []string{"", "hosts:\n", "# nothing\n"} {
		if inv, err := written(t, text); err != nil || inv.Path == "" || len(inv.Names()) > 0 {
			t.Errorf("%q: %+v, %v", text, inv, err)
		}
	}
}

func TestInventoryErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"hosts: [\n", "inventory.yaml: yaml: line"},
		{"hosts:\n  a:\n---\nhosts:\n  b:\n", "inventory.yaml: line 3: a second document begins"},
		{"- a\n", "inventory.yaml:1: the inventory is no mapping"},
		{"host:\n  a:\n", `inventory.yaml:1: the inventory has no "host" (did you mean hosts?)`},
		{"hosts:\n  a: b\n", "inventory.yaml:2: the host a is no mapping"},
		{"hosts:\n  a:\n  b:\n  a:\n", "inventory.yaml:4: a stands there twice in hosts, first on line 2"},
		{"hosts:\n  -a:\n", `inventory.yaml:2: "-a" is no name of a host`},
		{"hosts:\n  root@a:\n", `"root@a" is no name of a host`},
		{"hosts:\n  ../a:\n", `"../a" is no name of a host`},
		{"hosts:\n  a:\n    adress: x\n", `inventory.yaml:3: the host a has no "adress" (did you mean address?)`},
		{"hosts:\n  a:\n    address: -oProxyCommand=x\n", "inventory.yaml:3: address \"-oProxyCommand=x\": want a name or an IP"},
		{"hosts:\n  a:\n    address: root@x\n", "user and port have lines of their own"},
		{"hosts:\n  a:\n    address: [x]\n", "inventory.yaml:3: address: want one value"},
		{"hosts:\n  a:\n    user: \"x\\n\"\n", "control character"},
		{"hosts:\n  a:\n    port: 70000\n", "inventory.yaml:3: port 70000: want a number from 1 to 65535"},
		{"hosts:\n  a:\n    port: ssh\n", "port ssh: want a number"},
		{"hosts:\n  a:\n    bundle: none.star\n", "inventory.yaml:3: bundle none.star: there is no such file in the repository"},
		{"hosts:\n  a:\n    bundle: ../x.star\n", "bundle ../x.star: want a .star file, from the root"},
		{"hosts:\n  a:\n    bundle: web\n", "bundle web: want a .star file"},
		{"hosts:\n  a:\n    groups: web\ngroups:\n  web:\n", "inventory.yaml:3: groups: want a list of names"},
		{"hosts:\n  a: {groups: [wbe]}\ngroups:\n  web:\n", "inventory.yaml:2: the host a is in the group wbe, which is not below groups (did you mean web?)"},
		{"hosts:\n  a: {groups: [web]}\n", `(a line "web:" there makes it one)`},
		{"hosts:\n  web1:\ngroups:\n  web: [web1, wbe1]\n", "inventory.yaml:4: the group web holds wbe1, which is neither a host nor a group (did you mean web1?)"},
		{"hosts:\n  a:\ngroups:\n  web: [a, a]\n", "web: a stands there twice"},
		{"hosts:\n  a:\ngroups:\n  a:\n", "inventory.yaml:4: the group a has the name of the host of line 2"},
		{"groups:\n  all:\n", "a group cannot be called all"},
		{"groups:\n  sandbox:\n", "a group cannot be called sandbox"},
		{"groups:\n  a b:\n", `"a b" is no name of a group`},
		{"groups:\n  x: [a]\n  a: [b]\n  b: [c]\n  c: [a]\n", "inventory.yaml:3: the group a holds itself: a > b > c > a"},
		{"groups:\n  a: [a]\n", "the group a holds itself: a > a"},
	} {
		inv, err := written(t, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || inv != nil {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	_, err := written(t, "hosts:\n  a: {port: 0}\n  b: {prt: 1}\n")
	if err == nil || strings.Count(err.Error(), "inventory.yaml:") != 2 {
		t.Errorf("not all is told at once: %v", err)
	}
}

// TestStrays: a file of variables that nothing will ever read is told.
func TestStrays(t *testing.T) {
	for _, c := range []struct{ file, inventory, want string }{
		{"hosts/web1.yaml", whole, ""},
		{"hosts/typed.yaml", whole, ""},
		{"groups/web.toml", whole, ""},
		{"hosts/wbe1.yaml", whole, "vars/hosts/wbe1.yaml: there is no host wbe1 in inventory.yaml (did you mean web1?)"},
		{"hosts/web1.example.com.json", whole, "there is no host web1.example.com in inventory.yaml"},
		{"groups/prod.yaml", whole, "vars/groups/prod.yaml: there is no group prod in inventory.yaml"},
		{"groups/web1.yaml", whole, "there is no group web1"},
		{"hosts/web1/main.yaml", whole, "vars/hosts/web1 is a folder: one file holds the variables of a host, such as "},
		{"hosts/.wbe1.yaml", whole, ""},
		{"hosts/README.md", whole, ""},
		{"hosts/anything.yaml", "", ""},
		{"groups/web.yaml", "", "there is no group web, since the repository has no inventory.yaml"},
	} {
		files := map[string]string{"vars/" + c.file: "", "web.star": "", "bundles/db.star": ""}
		if c.inventory != "" {
			files[File] = c.inventory
		}
		dir := filepath.Dir(repo(t, files))
		inv, err := Read(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		err = inv.Strays([]string{dir}, []string{"typed"})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(filepath.ToSlash(err.Error()), c.want)) {
			t.Errorf("%s: %v, want %q", c.file, err, c.want)
		}
	}
}
