//go:build linux

package confine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"fabgo/internal/confine"
)

// bomb is a bundle that would take the process that evaluates it down, or never end.
type bomb struct {
	src   string
	files map[string]string // more files
	want  string            // a regular expression for what the parent can say of it
}

const (
	shared = "x = []\nfor i in range(60):\n    x = [x, x]\n"
	deepen = "x = []\nfor i in range(%d):\n    x = [x]\n"
)

func bombs() map[string]bomb {
	// One allocation meets the limit of memory at once. What grows step by step meets that of computing first on a slow machine, more so with
	// the race detector.
	memory, cpu := `^killed: memory \(512 MiB\) at `, `^killed: cpu \(3s\) at `
	either := `^killed: (memory \(512 MiB\)|cpu \(3s\)) at `
	return map[string]bomb{
		// The texts.
		"a sum of two million terms": {src: "x = 1" + strings.Repeat("+1", 2_000_000), want: `at most 262,144 are read`},
		"a long sum":                 {src: "x = 1" + strings.Repeat("+1", 120_000), want: `nested more than 1000 deep`},
		"an elif ladder of 1 MB":     {src: "x = 1\nif x == 0: pass\n" + strings.Repeat("elif x: pass\n", 80_000), want: `at most 262,144 are read`},
		"an elif ladder":             {src: "x = 1\nif x == 0: pass\n" + strings.Repeat("elif x: pass\n", 19_000), want: `nested more than 1000 deep`},
		"brackets":                   {src: "x = " + strings.Repeat("[", 250_000), want: `nesting`},
		"a load cycle":               {src: "load(\"a.star\", \"a\")\n", files: map[string]string{"a.star": "load(\"web1.star\", \"x\")\na = 1\n"}, want: `load cycle`},
		"a load of itself":           {src: "load(\"web1.star\", \"x\")\nx = 1\n", want: `load cycle`},
		"too many files":             {src: manyLoads(1200), files: manyFiles(1200, "a = 1\n"), want: `more than 1,000 files are loaded`},
		"too large together":         {src: manyLoads(40), files: manyFiles(40, "a = 1\n#"+strings.Repeat("x", 250_000)+"\n"), want: `more than 8,388,608 bytes together`},

		// One step that builds too much.
		"squares":              {src: "x = (1 << 500) - 1\nfor i in range(18):\n    x = x * x\n", want: either + `web1.star:[23]$`},
		"shifts":               {src: "x = 1\nfor i in range(100000):\n    x = x << 500\n    x = x * x\n", want: either + `web1.star:[234]$|shift count too large`},
		"join":                 {src: "s = \"x\" * 100000\nl = [\"a\"] * 10000\ns.join(l)\n", want: either + `web1.star:[23]$`},
		"repeat a string":      {src: "l = []\nfor i in range(100):\n    l.append(\"a\" * (1 << 29))\n", want: either + `web1.star:[23]$`},
		"repeat a string once": {src: "x = \"a\" * ((1 << 30) - 1)\n", want: memory + `web1.star:1$`},
		"repeat a list":        {src: "x = [0] * (1 << 29)\n", want: memory + `web1.star:1$`},
		"repeat a tuple":       {src: "x = (0, 1) * (1 << 28)\n", want: memory + `web1.star:1$`},
		"double a string":      {src: "s = \"ab\"\nfor i in range(60):\n    s += s\n", want: either + `web1.star:[23]$`},
		"double a list":        {src: "x = [1]\nfor i in range(60):\n    x = x + x\n", want: either + `web1.star:[23]$`},
		"replace":              {src: "s = \"a\" * 100000\ns.replace(\"a\", s)\n", want: either + `web1.star:[12]$`},
		"replace, in turns":    {src: "s = \"aa\"\nfor i in range(40):\n    s = s.replace(\"a\", \"aa\")\n", want: either + `web1.star:[23]$`},
		"format a width":       {src: "x = \"%1000000000d\" % 1\n", want: `unknown conversion|not enough|%1`},
		"format a field":       {src: "x = \"{:1000000000}\".format(1)\n", want: `web1.star:1`},
		"format, repeated":     {src: "s = \"x\" * (1 << 20)\nx = (\"{0}\" * 1000).format(s)\n", want: either + `web1.star:[12]$`},
		"percent, repeated":    {src: "s = \"x\" * (1 << 20)\nx = (\"%s\" * 1000) % tuple([s] * 1000)\n", want: either + `web1.star:[12]$`},
		"split":                {src: "s = \"a,\" * (100 << 20)\nx = s.split(\",\")\n", want: either + `web1.star:[12]$`},
		"elems":                {src: "s = \"a\" * (200 << 20)\nx = [c for c in s.elems()]\n", want: either + `web1.star:[12]$`},
		"splitlines":           {src: "s = \"\\n\" * (200 << 20)\nx = s.splitlines()\n", want: either + `web1.star:[12]$`},
		"bytes":                {src: "x = bytes(\"a\" * (300 << 20))\n", want: `the value has more than`},
		"slices":               {src: "x = []\ny = range(1 << 24)\nfor i in range(100):\n    x.append(list(y)[:])\n", want: `the value has more than|` + either},

		// Loops that hold too much.
		"a dict comprehension":   {src: "d = {i: [i] for i in range(1 << 40)}\n", want: either + `web1.star:1$`},
		"a list comprehension":   {src: "d = [\"%d\" % i for i in range(1 << 40)]\n", want: either + `web1.star:1$`},
		"a set":                  {src: "s = set()\nfor i in range(1 << 40):\n    s.add(i)\n", want: either + `web1.star:[23]$`},
		"an endless loop":        {src: "for i in range(1 << 60):\n    pass\n", want: `more than 100,000,000 steps|` + cpu + `web1.star:[12]$`},
		"calls without end":      {src: "def a(): pass\ndef b():\n    for i in range(1 << 30): a()\ndef c():\n    for i in range(1 << 30): b()\nc()\n", want: `more than 100,000,000 steps|` + cpu},
		"print without end":      {src: "s = \"x\" * 1000\nfor i in range(1 << 60):\n    print(s)\n", want: `more than 16,777,216 printed bytes`},
		"print one thing":        {src: "print(\"x\" * (20 << 20))\n", want: `more than 16,777,216 printed bytes`},
		"functions of functions": {src: "def f(n): return lambda: n\nx = []\nfor i in range(1 << 40):\n    x.append(f(x))\n", want: either + `web1.star:[134]$`},

		// Values that are small until they are looked at.
		"str of shared lists":      {src: shared + "str(x)\n", want: `web1.star:4:.*the value has more than 2,000,000 parts`},
		"print of shared lists":    {src: shared + "print(x)\n", want: `the value has more than`},
		"encode shared lists":      {src: shared + "json.encode(x)\n", want: `the value has more than`},
		"percent of shared lists":  {src: shared + "y = \"%s\" % x\n", want: either + `web1.star:[34]$`},
		"format of shared lists":   {src: shared + "y = \"{}\".format(x)\n", want: either + `web1.star:[34]$`},
		"compare shared lists":     {src: shared + "y = []\nfor i in range(60):\n    y = [y, y]\nx == y\n", want: cpu + `web1.star:|maximum recursion|depth`},
		"hash shared tuples":       {src: "x = ()\nfor i in range(60):\n    x = (x, x)\nd = {x: 1}\n", want: cpu + `web1.star:[34]$`},
		"a dict of shared dicts":   {src: "d = {}\nfor i in range(60):\n    d = {1: d, 2: d}\ny = \"%s\" % d\n", want: either + `web1.star:[34]$`},
		"a deep list":              {src: fmt.Sprintf(deepen, 20_000_000), want: either + `web1.star:[23]$|^killed: stack|more than 100,000,000 steps`},
		"a deep list, shown":       {src: fmt.Sprintf(deepen, 2_000_000) + "y = \"%s\" % x\n", want: `^killed: (stack \(64 MiB\)|cpu \(3s\)) at web1.star:[234]$`},
		"a deep list, encoded":     {src: fmt.Sprintf(deepen, 1_000_000) + "json.encode(x)\n", want: `web1.star:4:.*the value is nested more than 500 deep`},
		"a deep tuple, hashed":     {src: "x = ()\nfor i in range(2000000):\n    x = (x,)\nd = {x: 1}\n", want: `^killed: (stack \(64 MiB\)|cpu \(3s\)) at web1.star:[234]$`},
		"a deep list in a library": {src: "load(\"a.star\", \"n\")\n", files: map[string]string{"a.star": "n = 1\n" + fmt.Sprintf(deepen, 20_000_000)}, want: `a.star:3:1: .*more than 5,000,000 steps`},
		"decode brackets":          {src: "json.decode(\"[\" * 2000000)\n", want: `web1.star:1:.*nested more than 500 deep`},
		"decode much":              {src: "x = json.decode(\"[\" + \"[0],\" * (20 << 20) + \"0]\")\n", want: either + `web1.star:1$`},
		"indent":                   {src: "x = json.indent(\"[\" * 400 + \"0\" + \",0\" * (1 << 20) + \"]\" * 400, indent = \"x\" * 10000)\n", want: either + `web1.star:1$`},

		// Ranges.
		"list of a range":    {src: "list(range(1 << 62))\n", want: `the value has more than`},
		"sorted":             {src: "sorted(range(1 << 62))\n", want: `the value has more than`},
		"zip":                {src: "zip(range(1 << 62), range(1 << 62))\n", want: `the value has more than`},
		"enumerate":          {src: "enumerate(range(1 << 62))\n", want: `the value has more than`},
		"extend":             {src: "x = []\nx.extend(range(1 << 62))\n", want: either + `web1.star:[12]$|internal error|too`},
		"add a range":        {src: "x = []\nx += range(1 << 62)\n", want: either + `web1.star:[12]$|internal error|too`},
		"dict of a range":    {src: "x = dict(zip(range(1 << 21), range(1 << 21)))\n", want: `the value has more than`},
		"update a set":       {src: "x = set([1]).union(range(1 << 62))\n", want: either + `web1.star:1$`},
		"arguments":          {src: "def f(*a): return 1\nf(*range(1 << 62))\n", want: either + `web1.star:[12]$|internal error|too`},
		"unpack":             {src: "a, b = range(1 << 62)\n", want: `too many values`},
		"in a range, slowly": {src: "x = range(1 << 62)\nfor i in range(1 << 40):\n    \"a\" in [x] * 10000\n", want: `steps|` + cpu},
		"max of a product":   {src: "max([x for x in range(1999999)] * 100)\n", want: either + `web1.star:1$|the value has more than`},

		// Templates.
		"a template's loop":   {src: "render(\"{% for i in range(1000000000) %}x{% endfor %}\")\n", want: `web1.star:1`},
		"a template's text":   {src: "render(\"{{ 'a' * 1000000000 }}\")\n", want: `web1.star:1`},
		"a template's nest":   {src: "render(\"{{ \" + \"(\" * 100000 + \"1\" + \")\" * 100000 + \" }}\")\n", want: `web1.star:1`},
		"a template's tags":   {src: "render(\"{% if 1 %}\" * 100000)\n", want: `web1.star:1`},
		"a template's values": {src: shared + "render(\"{{ x }}\", x = x)\n", want: `web1.star:4`},
		"a regular expression": {src: "s = \"a\" * 100000\nrender(\"{{ s | regex_replace('(a*)*(a*)*(a*)*b', 'x') }}\", s = s)\nrender(\"{{ s | regex_search('(((a{0,99}){0,99}){0,99})') }}\", s = s)\n",
			want: `web1.star:[123]`},
	}
}

func manyLoads(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "load(\"l%d.star\", a%d = \"a\")\n", i, i)
	}
	return b.String()
}

func manyFiles(n int, text string) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("l%d.star", i)] = text
	}
	return files
}

// TestBombs is F83 of the fault list: whatever a bundle does, its evaluation ends within five seconds of computing and
// 512 MiB, with an error that says why and where, and the parent lives on.
func TestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute of computing")
	}
	for name, b := range bombs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := job{Bundle: "web1.star", Files: map[string]string{"web1.star": b.src}}
			for n, text := range b.files {
				j.Files[n] = text
			}
			in, err := json.Marshal(j)
			if err != nil {
				t.Fatal(err)
			}
			cmd := command(t, "evaluate")
			var out bytes.Buffer
			cmd.Stdin, cmd.Stdout = bytes.NewReader(in), &out
			began := time.Now()
			c := start(t, cmd, confine.Limits{})
			err = c.Wait()
			took := time.Since(began)
			said := strings.TrimPrefix(strings.TrimSpace(out.String()), "error: ")
			if err != nil {
				said = err.Error()
				killed(t, err)
			}
			if !regexp.MustCompile(b.want).MatchString(said) {
				t.Errorf("got %.2000s\nwant %s", said, b.want)
			}
			// Other processes may make the wall clock longer; what the child took itself they cannot.
			if used := cpu(c); used > 5*time.Second || took > 30*time.Second {
				t.Errorf("it took %v, of which it computed %v", took, used)
			}
			if p := peak(c); p > 512*mib {
				t.Errorf("it had %d MiB resident", p/mib)
			}
			t.Logf("%v, cpu %v, peak %d MiB: %.100s", took.Round(time.Millisecond), cpu(c).Round(time.Millisecond), peak(c)/mib, strings.SplitN(said, "\n", 2)[0])
		})
	}
}
