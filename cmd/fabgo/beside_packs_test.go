//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/internal/sshd"
	"fabgo/transport"
)

// packedTree makes a tree of the bundle whose pack does not travel with the frame that names it, and the bundle.
func (w *world) packedTree() {
	w.t.Helper()
	for i := range 5 {
		w.must(os.MkdirAll(filepath.Join(w.dir, "tree", fmt.Sprint(i)), 0o755))
	}
	for i := range 300 {
		w.file(fmt.Sprintf("tree/%d/%03d", i%5, i), strings.Repeat(fmt.Sprintf("line of file %d\n", i), 100))
	}
	w.file("sync.star", "W = var(\"work\")\n\nfile.sync(\"tree\", W + \"/out\")\n")
}

// sameTree checks that all of it arrived, and nothing else is there.
func (w *world) sameTree() {
	w.t.Helper()
	read := func(dir string) map[string]string {
		got := map[string]string{}
		w.must(filepath.WalkDir(filepath.Join(w.dir, dir), func(p string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(p)
			rel, _ := filepath.Rel(filepath.Join(w.dir, dir), p)
			got[rel] = string(b)
			return err
		}))
		return got
	}
	want, got := read("tree"), read("out")
	for name, text := range want {
		if got[name] != text {
			w.t.Errorf("%s holds %.40q", name, got[name])
		}
	}
	if len(got) != len(want) {
		w.t.Errorf("%d files are there, want %d", len(got), len(want))
	}
}

// TestBesidePacks: small files get to the host in packs that neither journal holds; the run can be replayed all the same, and the next one
// finds nothing to do. Connections that end while a pack is on its way cost nothing.
func TestBesidePacks(t *testing.T) {
	w := newWorld(t)
	w.packedTree()
	s := w.host("web1", sshd.Options{})
	run := func(w *world, want journal.Status) {
		w.t.Helper()
		w.start("run", "-H", "web1", "-e", "work="+w.dir, "sync.star").exits(0)
		w.sameTree()
		w.complete("web1")
		for _, r := range w.mine("web1") {
			if e, ok := r.Body.(journal.End); ok && e.Status != want {
				w.t.Errorf("the step ended %s, want %s", e.Status, want)
			}
		}
	}
	run(w, journal.Changed)
	packs := 0
	for _, r := range w.mine("web1") {
		o, ok := r.Body.(journal.Outcome)
		if !ok {
			continue
		}
		op, err := transport.DecodeOp(o.Op)
		w.must(err)
		u, ok := op.(transport.Unpack)
		if !ok {
			continue
		}
		packs++
		for _, dir := range []string{w.hostDir("web1"), filepath.Join(w.dir, "state", "fabgo")} {
			blobs := func(d transport.Digest) int {
				found, err := filepath.Glob(filepath.Join(dir, "runs", "*", "blobs", strings.TrimPrefix(string(d), "sha256:")))
				w.must(err)
				return len(found)
			}
			if blobs(u.Files.Digest) != 1 || blobs(u.Pack.Digest) != 0 {
				t.Errorf("%s keeps %d manifests and %d packs", dir, blobs(u.Files.Digest), blobs(u.Pack.Digest))
			}
		}
	}
	if packs != 1 {
		t.Errorf("%d packs were sent", packs)
	}
	read := s.Stats().Read
	w.start("replay", "last").exits(0)
	run(w, journal.OK)
	w.start("replay", "last").exits(0)

	for i := range int64(4) { // the pack is most of what the server reads
		t.Run(fmt.Sprintf("cut %d", i), func(t *testing.T) {
			w := newWorld(t)
			w.packedTree()
			w.host("web1", sshd.Options{Faults: func(c int) sshd.Faults {
				if c == 0 {
					return sshd.Faults{CutAfterRead: read - read*(i+1)/12}
				}
				return sshd.Faults{}
			}})
			run(w, journal.Changed)
		})
	}
}
