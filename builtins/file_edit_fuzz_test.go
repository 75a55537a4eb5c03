package builtins

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/transport"
)

// editedFile is a host with one file, which edits change without an interpreter or a disk in between.
type editedFile struct {
	content []byte
	missing bool
	writes  int
}

// newEdited holds a file, or none for "-".
func newEdited(content string) *editedFile {
	return &editedFile{content: []byte(content), missing: content == "-"}
}

func (f *editedFile) String() string {
	if f.missing {
		return "-"
	}
	return string(f.content)
}

// Do implements transport.Host.
func (f *editedFile) Do(_ context.Context, op transport.Op) (transport.Result, error) {
	switch op := op.(type) {
	case transport.Stat:
		switch {
		case op.Path == "/":
			return transport.FileInfo{Type: transport.Dir, Mode: "0755", Owner: "root", Group: "root"}, nil
		case f.missing:
			return transport.FileInfo{Type: transport.Absent}, nil
		}
		return transport.FileInfo{
			Type: transport.Regular, Mode: "0644", Owner: "root", Group: "root", Size: int64(len(f.content)), Digest: transport.DigestOf(f.content),
			Same: op.Against != nil && op.Against.Digest == transport.DigestOf(f.content),
		}, nil
	case transport.Read:
		return transport.Data{Content: transport.Bytes(f.content[op.Offset:])}, nil
	case transport.Write:
		b, err := op.Content.ReadAll(1 << 30)
		f.content, f.missing = bytes.Clone(b), false
		f.writes++
		return transport.Written{}, err
	}
	return nil, fmt.Errorf("an edit asks %T", op)
}

// edit runs a call such as line("F", line = "x") against the file.
func (f *editedFile) edit(t testing.TB, call string) error {
	t.Helper()
	parts := map[string]starlark.Value{}
	collect := starlark.NewBuiltin("args", func(_ *starlark.Thread, _ *starlark.Builtin, _ starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		for _, kv := range kwargs {
			parts[string(kv[0].(starlark.String))] = kv[1]
		}
		return starlark.None, nil
	})
	verb, rest, ok := strings.Cut(call, `("F", `)
	if !ok {
		t.Fatalf("%s is no call", call)
	}
	if _, err := starlark.EvalOptions(&syntax.FileOptions{}, &starlark.Thread{}, "call", "args("+rest, starlark.StringDict{"args": collect}); err != nil {
		t.Fatal(err)
	}
	return f.native(verb, parts)
}

// native calls the native below file.VERB with the defaults of the prelude.
func (f *editedFile) native(verb string, args map[string]starlark.Value) error {
	all := map[string]starlark.Value{"path": str("/f")}
	if verb == "block" {
		all["marker"], all["begin"], all["end"] = str("# {mark} FABGO MANAGED BLOCK"), str("BEGIN"), str("END")
	}
	maps.Copy(all, args)
	_, err := callFile(f, verb, all)
	return err
}

var nativesOfFiles = fileNatives()

// callFile calls the native below file.VERB in a run, without a bundle.
func callFile(h transport.Host, verb string, args map[string]starlark.Value) (starlark.Value, error) {
	rec := journal.NewRecorder("web1", h, func() time.Time { return time.Unix(0, 0) }, &memory{})
	rt := &Runtime{
		Session: converge.New(context.Background(), context.Background(), converge.Info{Name: "web1", Acting: "root"}, journal.Running, rec),
		Locate:  func(_, src string) (string, error) { return "//" + src, nil },
	}
	thread := &starlark.Thread{}
	for name, value := range rt.Locals() {
		thread.SetLocal(name, value)
	}
	var kwargs []starlark.Tuple
	for name, value := range args {
		kwargs = append(kwargs, starlark.Tuple{str(name), value})
	}
	return starlark.Call(thread, nativesOfFiles["_file_"+verb], nil, kwargs)
}

func str(s string) starlark.Value { return starlark.String(s) }

// settles demands that a second edit finds nothing to do, unless the first was refused, and then that nothing was touched.
// Only a replacement can be such that it never settles.
func (f *editedFile) settles(t *testing.T, verb string, args map[string]starlark.Value) bool {
	before := f.String()
	if err := f.native(verb, args); err != nil {
		if verb != "replace" && strings.Contains(err.Error(), "its own result") {
			t.Fatalf("%s of %q with %v: %v", verb, before, args, err)
		}
		if f.writes > 0 || f.String() != before {
			t.Fatalf("a refused edit (%v) made %q of %q", err, f, before)
		}
		return false
	}
	after := f.String()
	writes := f.writes
	if err := f.native(verb, args); err != nil || f.writes != writes || f.String() != after {
		t.Fatalf("%q became %q, and with the second edit %q, %v", before, after, f, err)
	}
	return true
}

var editSeeds = []string{"", "a", "a\n", "a\r\nb\r\n", "a\nb\r\nc", "\r", "a\r", "\n\n\n", "\xff\xfe\x00", "# BEGIN\nx\n# END", "# BEGIN\r\nx\r\n# END\r\n", "# END\n# BEGIN\n"}

func FuzzEditLine(f *testing.F) {
	for _, s := range editSeeds {
		f.Add(s, "a", "^a", "", "", false, false)
		f.Add(s, "x = \\1", "(.)", "^b", "", true, false)
		f.Add(s, "b", "", "", "BOF", false, true)
	}
	f.Fuzz(func(t *testing.T, old, line, match, after, before string, first, absent bool) {
		if old == "-" {
			return
		}
		args := map[string]starlark.Value{"line": str(line), "match": str(match), "first": starlark.Bool(first), "absent": starlark.Bool(absent)}
		if after != "" {
			args["insert_after"] = str(after)
		}
		if before != "" {
			args["insert_before"] = str(before)
		}
		file := newEdited(old)
		if !file.settles(t, "line", args) {
			return
		}
		had, has := strings.SplitAfter(old, "\n"), strings.SplitAfter(file.String(), "\n")
		if absent {
			re := regexp.MustCompile(match)
			for _, l := range has {
				if l != "" && (match == "" && bare(l) == line || match != "" && re.MatchString(bare(l))) {
					t.Errorf("%q is still in %q", line, file)
				}
			}
			return
		}
		found := false
		for _, l := range has {
			found = found || bare(l) == line
		}
		if !found {
			t.Errorf("%q is not in %q, which was %q", line, file, old)
		}
		// All but one line is as it was, byte for byte; a last line may have got a newline.
		for len(had) > 0 && len(has) > 0 && had[0] == has[0] {
			had, has = had[1:], has[1:]
		}
		for len(had) > 0 && len(has) > 0 && had[len(had)-1] == has[len(has)-1] {
			had, has = had[:len(had)-1], has[:len(has)-1]
		}
		if len(had) > 1 || len(has) > 3 {
			t.Errorf("more than a line changed: %q became %q", old, file)
		}
	})
}

// bare is a line without its end.
func bare(l string) string {
	return strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r")
}

func FuzzEditBlock(f *testing.F) {
	for _, s := range editSeeds {
		f.Add(s, "x\ny", "# {mark}", "", "")
		f.Add(s, "", "{mark}", "^a", "")
		f.Add(s, "x\r\n", "; {mark} app", "", "BOF")
	}
	f.Fuzz(func(t *testing.T, old, content, marker, after, before string) {
		if old == "-" {
			return
		}
		args := map[string]starlark.Value{"content": str(content), "marker": str(marker)}
		if after != "" {
			args["insert_after"] = str(after)
		}
		if before != "" {
			args["insert_before"] = str(before)
		}
		file := newEdited(old)
		if !file.settles(t, "block", args) {
			return
		}
		begin := strings.ReplaceAll(marker, "{mark}", "BEGIN")
		added := !strings.Contains("\n"+strings.ReplaceAll(old, "\r\n", "\n"), "\n"+begin+"\n")
		args["absent"] = starlark.True
		if !file.settles(t, "block", args) {
			t.Fatalf("the block does not come out of %q", file)
		}
		// What was put in and taken out leaves the file as it was, but for a newline behind the last line.
		if got := file.String(); added && got != old && got != old+"\n" && got != old+"\r\n" {
			t.Errorf("%q became %q", old, got)
		}
	})
}

func FuzzEditReplace(f *testing.F) {
	for _, s := range editSeeds {
		f.Add(s, "a", "b", "", "", false)
		f.Add(s, "(.)$", `\1`, "^a", "c", false)
		f.Add(s, ".", `\1`, "", "", true)
	}
	f.Fuzz(func(t *testing.T, old, match, replacement, after, before string, literal bool) {
		if old == "-" {
			return
		}
		args := map[string]starlark.Value{
			"match": str(match), "replacement": str(replacement), "after": str(after), "before": str(before), "literal": starlark.Bool(literal),
		}
		file := newEdited(old)
		if file.settles(t, "replace", args) && literal && after == "" && before == "" && file.String() != strings.ReplaceAll(old, match, replacement) {
			t.Errorf("%q became %q", old, file)
		}
	})
}
