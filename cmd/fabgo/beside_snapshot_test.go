//go:build linux

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"fabgo/internal/journal"
	"fabgo/internal/sshd"
	"fabgo/transport"
)

// TestBesideSnapshot: what is edited while a run is under way is for the next run (F84).
func TestBesideSnapshot(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	write := func(word string) {
		w.file("snap.star", `load("//lib.star", "word")
W = var("work")
run("echo started >%s/started; read line <%s/go" % (W, W))
file.put(W + "/after", content = word + " `+word+` ")
file.put(W + "/src", src = "words")
file.template("words.j2", W + "/template", vars = {"x": 1})
`)
		w.file("lib.star", `word = "`+word+`"`+"\n")
		w.file("words", word)
		w.file("words.j2", word+" {{ x }}")
	}
	w.fifo("started")
	w.fifo("go")
	write("old")
	p := w.start("run", "-H", "web1", "-e", "work="+w.dir, "snap.star")
	w.hears(filepath.Join(w.dir, "started"))
	write("new")
	w.release()
	p.exits(0)
	for file, want := range map[string]string{"after": "old old ", "src": "old", "template": "old 1"} {
		if b, err := os.ReadFile(filepath.Join(w.dir, file)); err != nil || strings.TrimSuffix(string(b), "\n") != want {
			t.Errorf("%s is %q, %v; want %q", file, b, err, want)
		}
	}
}

// TestBesideHostKeyChanges: who comes back under another key is not followed to, and that is said at once (F16).
func TestBesideHostKeyChanges(t *testing.T) {
	w := newWorld(t)
	s := w.host("web1", sshd.Options{})
	p := w.begun()
	addr := s.Addr()
	s.Close()
	w.must(p.stderr.says("connecting again", 1))
	l, err := net.Listen("tcp", addr)
	w.must(err)
	other, err := sshd.Start(sshd.Options{Listener: l, AuthorizedKeys: []ssh.PublicKey{w.key}, Dir: w.dir})
	w.must(err)
	t.Cleanup(func() { other.Close() })
	p.exits(exitUnreachable)
	if f := w.finish("web1"); f.Error == nil || f.Error.Kind != transport.HostKey {
		t.Errorf("the journal's end: %+v", f.Error)
	}
	if n := other.Stats().Logins; n != 0 {
		t.Errorf("it logged in %d times", n)
	}
	w.release()
}

// TestBesidePlanKilled: a plan is nobody's when its controller is gone: it ends, and its processes with it.
func TestBesidePlanKilled(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	w.file("look.star", `query("exec >`+w.dir+`/started; echo started; sleep 600 & wait")`+"\n")
	w.fifo("started")
	p := w.start("plan", "-H", "web1", "look.star")
	rest := w.hears(filepath.Join(w.dir, "started"))
	w.must(p.cmd.Process.Kill())
	w.gone(rest)
	w.until("the plan's processes end", func() bool { return len(w.helpers("web1", "plan"))+len(w.helpers("web1", "evaluate")) == 0 })
	if _, err := os.Stat(filepath.Join(w.hostDir("web1"), "runs")); err == nil {
		t.Error("a plan left a journal on the host")
	}
}

// TestBesideDamagedCache: a file of the bundle that the host kept is taken by its content, not by its name.
func TestBesideDamagedCache(t *testing.T) {
	w := newWorld(t)
	w.host("web1", sshd.Options{})
	w.file("asks.star", asksAtOnce)
	w.file("late", strings.Repeat("a file of the bundle\n", 30000)) // too large to go along
	w.start("run", "-H", "web1", "-e", "work="+w.dir, "asks.star").exits(0)
	kept, err := filepath.Glob(filepath.Join(w.hostDir("web1"), "files", "*"))
	w.must(err)
	if len(kept) != 1 {
		t.Fatalf("the host keeps %s", kept)
	}
	w.must(os.WriteFile(kept[0], []byte(strings.Repeat("another file, not so\n", 30000)), 0o600))
	w.must(os.Remove(filepath.Join(w.dir, "after")))
	w.start("run", "-H", "web1", "-e", "work="+w.dir, "asks.star").exits(0)
	if b, err := os.ReadFile(filepath.Join(w.dir, "after")); err != nil || !strings.HasPrefix(string(b), "a file of the bundle\n") {
		t.Errorf("the file holds %.30q, %v", b, err)
	}
	if f := w.finish("web1"); f.Status != journal.Finished {
		t.Errorf("%+v", f)
	}
}

// asksAtOnce asks the controller for a file whose name is only known when it runs.
const asksAtOnce = `
file.put(var("work") + "/after", src = "".join(["la", "te"]))
`
