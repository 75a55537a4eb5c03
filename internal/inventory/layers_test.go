package inventory

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestLayers: all < bundle < groups, those that hold others first < the host's < --set, and every place is remembered with its line.
func TestLayers(t *testing.T) {
	bundle := repo(t, map[string]string{
		"vars/all.yaml": "# ours\na: all\nb: all\nc: all\nd: all\ne: all\nf: all\nd2: {x: 1, y: 2}\n",
		"vars/web.toml": "b = 'bundle'\nc = 'bundle'\nd = 'bundle'\ne = 'bundle'\nf = 'bundle'\n",
		// By name the wider group would come last.
		"vars/groups/world.yaml": "c: world\nd: world\ne: world\nf: world\n", "vars/groups/europe.json": "{\n\"d\": \"europe\",\n\"e\": \"europe\", \"f\": \"europe\"}",
		"vars/h1.yaml": "e: flat\nf: flat\n", "vars/hosts/h1.yaml": "f: host\nd2: {y: 3}\n", "vars/hosts/web.yaml": "a: another\n", "vars/groups/other.yaml": "a: other\n",
		"site/vars/all.yaml": "a: site\nb: site\n",
	})
	dir := filepath.Dir(bundle)
	where := Where{
		Dirs: []string{dir, filepath.Join(dir, "site")}, Bundle: "web", Host: "h1",
		Groups: []Group{{Name: "world"}, {Name: "europe", Above: []string{"world"}}},
	}
	v, err := Load(where, []string{"g=x"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a": `"site" site/vars/all.yaml:1`, "b": `"bundle" vars/web.toml:1`, "c": `"world" vars/groups/world.yaml:1`, "d": `"europe" vars/groups/europe.json:2`,
		"e": `"flat" vars/h1.yaml:1`, "f": `"host" vars/hosts/h1.yaml:1`, "g": `"x" --set`, "d2": `{"y": 3} vars/hosts/h1.yaml:2`,
	} {
		if got := v.Values[name].String() + " " + strings.TrimPrefix(v.Origin(name), dir+string(filepath.Separator)); got != filepath.FromSlash(want) {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	var got []string
	for _, s := range v.Layers["f"] {
		got = append(got, s.Value.String())
	}
	if s := strings.Join(got, " "); s != `"all" "bundle" "world" "europe" "flat" "host"` {
		t.Errorf("the layers of f: %s", s)
	}
}

// TestUndecidedGroups: of groups that have nothing to do with each other, none wins by its name.
func TestUndecidedGroups(t *testing.T) {
	groups := []Group{{Name: "db"}, {Name: "web"}, {Name: "old", Above: []string{"web"}}}
	for _, c := range []struct {
		files map[string]string
		sets  []string
		want  string
	}{
		{files: map[string]string{"db": "a: 1\n", "web": "b: 0\na: 2\n"}, want: "vars/groups/web.yaml:2: a is 2, and 1 in "},
		{files: map[string]string{"db": "a: 1\n", "old": "a: 2\n"}, want: "neither of the groups db and old holds the other: set it in the host's file"},
		{files: map[string]string{"db": "a: 1\n", "web": "a: 1\n"}},
		{files: map[string]string{"web": "a: 1\n", "old": "a: 2\n"}},
		{files: map[string]string{"db": "a: 2\n", "web": "a: 1\n", "old": "a: 2\n"}},
		{files: map[string]string{"db": "a: 1\n", "web": "a: 2\n"}, sets: []string{"a=3"}},
	} {
		files := map[string]string{}
		for g, text := range c.files {
			files["vars/groups/"+g+".yaml"] = text
		}
		_, err := Load(at(repo(t, files), "h1", groups...), c.sets)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(filepath.ToSlash(err.Error()), c.want)) {
			t.Errorf("%v: %v, want %q", c.files, err, c.want)
		}
	}
}

func TestLines(t *testing.T) {
	for file, text := range map[string]string{
		"a.yaml": "---\n# x\none: |\n  two: 1\n\n'two': {three: 1}\nthree:\n- 1\n",
		"a.toml": "# x = 1\n\none = \"\"\"\ntwo = \"\" 1\n\"\"\"\n\"two\" = [ # [\n 'three = ]',\n]\nfour.x = \"#[\\\"\"\n[three]\nseven = 1\n[[five.x]]\n",
		"a.json": "{\n \"nine\":\n 1, \n \"x\": {\"two\": 1,\n\"a\": 0},\n \"one\": \"\\n\"\n}",
	} {
		want := map[string]map[string]int{
			"a.yaml": {"one": 3, "two": 6, "three": 7}, "a.toml": {"one": 3, "two": 6, "four": 9, "three": 10, "five": 12}, "a.json": {"nine": 2, "x": 4, "one": 6},
		}[file]
		m, got, err := parse(file, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for name := range m {
			if got[name] != want[name] {
				t.Errorf("%s: %s is on line %d, want %d", file, name, got[name], want[name])
			}
		}
		if len(m) != len(want) || len(got) != len(want) {
			t.Errorf("%s: values %v, lines %v", file, m, got)
		}
	}
}
