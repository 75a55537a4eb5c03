package main

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.starlark.net/syntax"

	"fabgo/builtins"
	"fabgo/bundles"
	"fabgo/interp"
)

// A block of Python in the documentation begins with ```python, and what follows on that line says what it is:
//
//	(nothing)       a bundle
//	lib/site.star   a bundle or library of that name; the named blocks of a page are one repository, the last of a name counts
//	fragment        lines of a bundle; names that they do not define are not complained about
//	planned         shows what is not built yet: it must parse
const planned = "planned"

// page is a file of the documentation.
type page struct {
	name  string // from the root of the repository
	lines []string
}

func documentation(t *testing.T, patterns ...string) (pages []page) {
	t.Helper()
	root := filepath.Join("..", "..")
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(p)))
		if err != nil || len(files) == 0 {
			t.Fatalf("no documentation matches %s: %v", p, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, page{filepath.ToSlash(name), strings.Split(string(b), "\n")})
		}
	}
	return pages
}

// block is a fenced block.
type block struct {
	line int // of its first line
	info string
	text string
}

func (p page) blocks() (all []block) {
	open, margin := -1, ""
	for i, l := range p.lines {
		trimmed := strings.TrimLeft(l, " ")
		if !strings.HasPrefix(trimmed, "```") {
			continue
		}
		if open < 0 {
			open, margin = i, l[:len(l)-len(trimmed)]
			continue
		}
		var text strings.Builder
		for _, t := range p.lines[open+1 : i] {
			text.WriteString(strings.TrimPrefix(t, margin) + "\n")
		}
		all = append(all, block{open + 2, strings.TrimPrefix(strings.TrimSpace(p.lines[open]), "```"), text.String()})
		open = -1
	}
	return all
}

// under reports whether the last line of text before a block begins like that.
func (p page) under(b block, prefix string) bool {
	for i := b.line - 3; i >= 0; i-- {
		if p.lines[i] != "" {
			return strings.HasPrefix(p.lines[i], prefix)
		}
	}
	return false
}

// fences are the lines that belong to fenced blocks, with the word behind the fence.
func (p page) fences() map[int]string {
	inside := map[int]string{}
	for _, b := range p.blocks() {
		lang, _, _ := strings.Cut(b.info, " ")
		for i := range strings.Count(b.text, "\n") {
			inside[b.line-1+i] = lang
		}
	}
	return inside
}

func TestDocsBundlesPassCheck(t *testing.T) {
	in, err := builtins.Interp(interp.Options{Fab: bundles.Fab()})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range documentation(t, "README.md", "CONTRIBUTING.md", "docs/*.md") {
		t.Run(p.name, func(t *testing.T) {
			dir := t.TempDir()
			place(t, filepath.Join(dir, ".fabgo"), "")
			var named []block
			for _, b := range p.blocks() {
				lang, kind, _ := strings.Cut(b.info, " ")
				if p.name == "docs/reference.md" && kind == "" { // written from the prelude: signatures, which are no code, and examples
					kind = "fragment"
					if p.under(b, "### ") {
						continue
					}
				}
				if lang != "python" {
					continue
				}
				switch {
				case kind == planned:
					if _, err := (&syntax.FileOptions{Set: true, TopLevelControl: true}).Parse(p.name, b.text, 0); err != nil {
						t.Errorf("%s:%d: %v", p.name, b.line, err)
					}
				case kind == "fragment":
					checkBlock(t, in, p, b, place(t, filepath.Join(dir, "fragment.star"), "def _fragment():\n    "+strings.ReplaceAll(b.text, "\n", "\n    ")+"\n"), 1)
				case strings.HasSuffix(kind, ".star"):
					place(t, filepath.Join(dir, filepath.FromSlash(kind)), b.text)
					named = append(named, b)
				case kind == "":
					checkBlock(t, in, p, b, place(t, filepath.Join(dir, "bundle.star"), b.text), 0)
				default:
					t.Errorf("%s:%d: ```%s is none of the kinds that this test knows", p.name, b.line, b.info)
				}
			}
			for _, b := range named { // all files are there now
				_, kind, _ := strings.Cut(b.info, " ")
				checkBlock(t, in, p, b, place(t, filepath.Join(dir, filepath.FromSlash(kind)), b.text), 0)
			}
		})
	}
}

func place(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// checkBlock does to a block what fabgo check does to a bundle. A fragment has extra lines before it and may use names that it does not define.
func checkBlock(t *testing.T, in *interp.Interp, p page, b block, file string, extra int) {
	t.Helper()
	_, problems, err := in.Check(file, interp.CheckOptions{})
	if err != nil {
		t.Errorf("%s:%d: %v", p.name, b.line, err)
	}
	for _, pr := range problems {
		name, undefined := strings.CutPrefix(pr.Msg, "undefined: ")
		if extra > 0 && undefined && pr.Hint == "" && !strings.Contains(name, ".") {
			continue
		}
		t.Errorf("%s:%d: %s (%s)", p.name, b.line+pr.Pos.Line-1-extra, pr.Msg, pr.Hint)
	}
}

var markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestDocsLinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, p := range documentation(t, "*.md", "docs/*.md", "docs/decisions/*.md") {
		inside := p.fences()
		for i, l := range p.lines {
			if _, ok := inside[i]; ok || strings.HasPrefix(l, "    ") {
				continue
			}
			for _, m := range markdownLink.FindAllStringSubmatch(l, -1) {
				u, err := url.Parse(m[1])
				if err != nil {
					t.Errorf("%s:%d: %v", p.name, i+1, err)
					continue
				}
				if u.Scheme != "" || u.Path == "" {
					continue
				}
				links++
				if _, err := fs.Stat(os.DirFS(filepath.Join("..", "..")), pathOf(p.name, u.Path)); err != nil {
					t.Errorf("%s:%d: the link %s: %v", p.name, i+1, m[1], err)
				}
			}
		}
	}
	if links < 10 {
		t.Errorf("found %d links: is the pattern right?", links)
	}
}

// pathOf is what a relative link of a page means, from the root of the repository.
func pathOf(page, link string) string {
	return filepath.ToSlash(filepath.Join(filepath.Dir(filepath.FromSlash(page)), filepath.FromSlash(link)))
}

var (
	commandLine = regexp.MustCompile(`^\s*(?:\$ )?(?:sudo )?(?:(?:\./)?bin/)?fabgo\s+(.*)$`)
	codeSpan    = regexp.MustCompile("`(?:bin/)?fabgo ([^`]+)`")
	prose       = regexp.MustCompile(`\s{3,}.*$|\s#\s.*$|\s[|>].*$`)
	quoted      = regexp.MustCompile(`'[^']*'|"[^"]*"|\$\([^)]*\)`)
)

// TestDocsCommandsExist checks that each fabgo command line in the documentation names a command and flags that there are.
func TestDocsCommandsExist(t *testing.T) {
	lines := 0
	for _, p := range documentation(t, "README.md", "CONTRIBUTING.md", "docs/*.md") {
		inside := p.fences()
		for i, l := range p.lines {
			var found []string
			lang, fenced := inside[i]
			switch code := fenced || strings.HasPrefix(l, "    "); {
			case fenced && lang == "python":
			case code:
				if m := commandLine.FindStringSubmatch(l); m != nil {
					found = append(found, m[1])
				}
			default:
				for _, m := range codeSpan.FindAllStringSubmatch(l, -1) {
					found = append(found, m[1])
				}
			}
			for _, line := range found {
				lines++
				if msg := commandFault(line); msg != "" {
					t.Errorf("%s:%d: fabgo %s: %s", p.name, i+1, line, msg)
				}
			}
		}
	}
	if lines < 20 {
		t.Errorf("found %d command lines: is the pattern right?", lines)
	}
}

// commandFault says what is wrong with a command line, as far as commands and flags go.
func commandFault(line string) string {
	line = prose.ReplaceAllString(quoted.ReplaceAllString(line, "QUOTED"), "")
	words := strings.Fields(line)
	for i, w := range words {
		if w == "--" {
			words = words[:i]
			break
		}
	}
	if len(words) == 0 {
		return "there is no command"
	}
	root := (&env{}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(words...)
	cmd, _, err := root.Find(words)
	if err != nil {
		return err.Error()
	}
	if cmd == root && !strings.HasPrefix(words[0], "-") {
		return "there is no command " + words[0]
	}
	cmd.InitDefaultHelpFlag()
	for _, w := range words {
		if msg := flagFault(cmd, w); msg != "" {
			return msg
		}
	}
	return ""
}

func flagFault(cmd *cobra.Command, word string) string {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		name, _, _ := strings.Cut(long, "=")
		if cmd.Flag(name) == nil {
			return "there is no flag --" + name
		}
		return ""
	}
	short, ok := strings.CutPrefix(word, "-")
	if !ok || short == "" {
		return ""
	}
	for i := range len(short) {
		f := cmd.Flags().ShorthandLookup(short[i : i+1])
		if f == nil {
			f = cmd.InheritedFlags().ShorthandLookup(short[i : i+1])
		}
		if f == nil {
			return "there is no flag -" + short[i:i+1]
		}
		if f.NoOptDefVal == "" { // the rest is its value
			break
		}
	}
	return ""
}

func TestCommandFaultFindsThem(t *testing.T) {
	for line, want := range map[string]string{
		"plan web1.star -H web1 -b --diff            what would change": "",
		"exec -H web1 -- ls -Z":                  "",
		"exec -H web1 -b -- 'a | b'":             "",
		"run web1.star -vvK --set a=1":           "",
		"runs show last -v":                      "",
		"run web1.star --dif":                    "there is no flag --dif",
		"run web1.star -bZ":                      "there is no flag -Z",
		"rum web1.star":                          "there is no command rum",
		"doc --diff":                             "there is no flag --diff",
		"plan web1.star | grep -Z x":             "",
		"run web1.star bootstrap_app port=8000":  "",
		"run web1.star -e greeting='a -Z b' -b":  "",
		"completion bash > /etc/bash_completion": "",
	} {
		if got, _, _ := strings.Cut(commandFault(line), "\n"); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
