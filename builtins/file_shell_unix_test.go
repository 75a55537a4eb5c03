//go:build unix

package builtins

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// ownerOfFile is the user id of a file of this machine.
func ownerOfFile(t *testing.T, p string) int {
	t.Helper()
	st, err := os.Lstat(p)
	if err != nil {
		t.Fatal(err)
	}
	return int(st.Sys().(*syscall.Stat_t).Uid)
}

// TestFilesThroughShell: what is made through shell() belongs to its user and lies in its folder.
func TestFilesThroughShell(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
	s := newLocal(t)
	s.write("site/x", "x")
	s.write("t.j2", "t")
	d := t.TempDir()
	if err := os.WriteFile(d+"/mine", []byte("a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.law(`
app = shell(user = "daemon", cwd = "`+d+`")
app.file.put("a/put", content = "x", parents = True)
app.file.template("t.j2", "tmpl")
app.file.dir("b/c/d")
app.file.link("l", target = "a")
app.file.line("line", line = "x", create = True)
app.file.line("mine", line = "b")
app.file.block("block", content = "x", create = True)
app.file.sync("site", "e/f")
`, func() string { return tree(t, d) })
	err := filepath.WalkDir(d, func(p string, e os.DirEntry, err error) error {
		if p != d && p != d+"/mine" && ownerOfFile(t, p) != 1 {
			t.Errorf("%s belongs to %d", p, ownerOfFile(t, p))
		}
		return err
	})
	if err != nil || ownerOfFile(t, d+"/mine") != 0 {
		t.Errorf("an edit gave a file that was there away: %v", err)
	}
}
