package interp

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// chunks reads a file of examples separated by "---" lines.
func chunks(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n---\n")
}

// wantErrors reads the ### "regexp" of each line.
func wantErrors(t *testing.T, chunk string) map[int]*regexp.Regexp {
	t.Helper()
	want := map[int]*regexp.Regexp{}
	for i, line := range strings.Split(chunk, "\n") {
		if _, quoted, ok := strings.Cut(line, "### "); ok {
			re, err := strconv.Unquote(strings.TrimSpace(quoted))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			want[i+1] = regexp.MustCompile(re)
		}
	}
	return want
}

func TestCheck(t *testing.T) {
	in := newTest(t)
	o := CheckOptions{NeedsSession: func(name string) bool { return name != "note" }}
	for i, chunk := range chunks(t, "testdata/check.star") {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			dir := writeTree(t, map[string]string{"web1.star": chunk, "fab.mod": ""})
			if strings.HasPrefix(chunk, "# library") {
				dir = writeTree(t, map[string]string{"web1.star": "load(\"lib.star\", l = \"v\")\n", "lib.star": chunk + "\nv = 1\n", "fab.mod": ""})
			}
			t.Chdir(dir)
			b, problems, err := in.Check("web1.star", o)
			if err != nil {
				t.Fatal(err)
			}
			_, openErr := in.Open("web1.star")
			if (b == nil) != (openErr != nil) {
				t.Errorf("Open says %v, Check's bundle is %v", openErr, b)
			}
			want := wantErrors(t, chunk)
			for _, p := range problems {
				re := want[p.Pos.Line]
				if re == nil || !re.MatchString(p.Error()) {
					t.Errorf("unexpected: %v", p)
					continue
				}
				if p.Source != lineOf(chunk, p.Pos.Line) {
					t.Errorf("%v shows the line %q", p, p.Source)
				}
				delete(want, p.Pos.Line)
			}
			for line, re := range want {
				t.Errorf("line %d: no error matches %q", line, re)
			}
		})
	}
}

// TestCheckGoesOnAfterErrors: a library that does not parse hides nothing in the bundle and in other libraries.
func TestCheckGoesOnAfterErrors(t *testing.T) {
	in := newTest(t)
	t.Chdir(writeTree(t, map[string]string{
		"web1.star": "load(\"a.star\", \"x\")\nload(\"b.star\", \"y\")\nload(\"none.star\", \"z\")\nfile.put()\nprin(1)\n",
		"a.star":    "x = (\n", "b.star": "y = filee\nfile.putt(1)\n",
	}))
	b, problems, err := in.Check("web1.star", CheckOptions{})
	if err != nil || b != nil {
		t.Fatalf("%v, %v", b, err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Pos.String())
	}
	if s := strings.Join(got, " "); s != "a.star:2:1 b.star:1:5 b.star:2:6 web1.star:3:6 web1.star:4:1 web1.star:5:1" {
		t.Errorf("got %s\n%v", s, problems)
	}
}

func TestStaticCalls(t *testing.T) {
	in := newTest(t)
	b, err := openText(in, map[string]string{"web1.star": `
tz = var("timezone", default = "America/Chicago")
live = var("live", False)
db = var("db")
def task(x = var(name = "port", default = 3 + 4)):
    return [var("in_" + n) for n in x] + [attempt(lambda: var("deep"))]
def f(var):
    return var("not the prelude's")
`})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range b.Calls("var", "secret") {
		got = append(got, fmt.Sprintf("%s %s(%q) %v %s", c.Pos, c.Func, c.Name, c.HasDefault, c.Default))
	}
	want := `web1.star:2:6 var("timezone") true "America/Chicago"
web1.star:3:8 var("live") true False
web1.star:4:6 var("db") false 
web1.star:5:14 var("port") true 3 + 4
web1.star:6:13 var("") false 
web1.star:6:59 var("deep") false `
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got:\n%s\nwant:\n%s", s, want)
	}
}
