//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"fabgo/internal/helper"
	"fabgo/internal/journal"
	"fabgo/internal/sshd"
)

// What the tests of evaluation beside the host share.

// host starts a server that a helper can run behind.
func (w *world) host(name string, o sshd.Options) *sshd.Server {
	w.t.Helper()
	o.AuthorizedKeys = []ssh.PublicKey{w.key}
	return w.server(name, true, o)
}

// hostDir is the folder of a host's fabgo.
func (w *world) hostDir(name string) string { return filepath.Join(w.dir, "host-"+name) }

// helpers are the processes of a host's helper in a mode: own, run, plan, evaluate.
func (w *world) helpers(host, mode string) []int {
	w.t.Helper()
	mark := helper.StateEnv + "=" + w.hostDir(host)
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	w.must(err)
	words, parents := map[int][]string{}, map[int]int{}
	for _, file := range all {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		args := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
		if i := slices.Index(args, helper.Command); i == 1 && len(args) > 2 {
			words[pid] = args[2:]
			if st, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
				fields := strings.Fields(string(st[bytes.LastIndexByte(st, ')')+1:]))
				parents[pid], _ = strconv.Atoi(fields[1])
			}
		}
	}
	var out []int
	for pid, args := range words {
		if args[0] != mode {
			continue
		}
		of := pid
		if mode == "evaluate" { // it has none of our environment
			of = parents[pid]
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", of))
		if err == nil && slices.Contains(strings.Split(string(env), "\x00"), mark) {
			out = append(out, pid)
		}
	}
	return out
}

// helper is the one process of a host's helper in a mode.
func (w *world) helper(host, mode string) *os.Process {
	w.t.Helper()
	pids := w.helpers(host, mode)
	if len(pids) != 1 {
		w.t.Fatalf("%d processes of %s are in mode %s", len(pids), host, mode)
	}
	p, err := os.FindProcess(pids[0])
	w.must(err)
	return p
}

// until waits for what is seen only by looking.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			w.t.Fatalf("%s: it never is so", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// unlocked checks that nobody holds the lock of a host.
func (w *world) unlocked(host string) {
	w.t.Helper()
	f, err := os.Open(filepath.Join(w.hostDir(host), "lock"))
	w.must(err)
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		w.t.Errorf("the lock of %s is held: %v", host, err)
	}
}

// journal reads what was recorded of a host in the latest run of a store.
func (w *world) journal(dir, host string) []journal.Record {
	w.t.Helper()
	run, err := journal.Store{Dir: filepath.Join(dir, "runs")}.Find("last")
	w.must(err)
	recs, err := run.Read(host)
	w.must(err)
	return recs
}

// mine is the controller's journal of the latest run.
func (w *world) mine(host string) []journal.Record {
	w.t.Helper()
	return w.journal(filepath.Join(w.dir, "state", "fabgo"), host)
}

// complete checks that the controller has the journal that the host has, record for record, and that it has an end.
func (w *world) complete(host string) {
	w.t.Helper()
	mine, theirs := w.mine(host), w.journal(w.hostDir(host), host)
	encode := func(recs []journal.Record) string {
		var b strings.Builder
		for _, r := range recs {
			line, err := r.MarshalJSON()
			w.must(err)
			b.Write(append(line, '\n'))
		}
		return b.String()
	}
	if a, b := encode(mine), encode(theirs); a != b {
		w.t.Errorf("the controller's journal:\n%s\nis not that of the host:\n%s", a, b)
	}
	if len(mine) == 0 {
		w.t.Fatal("the journal is empty")
	}
	if _, ok := mine[len(mine)-1].Body.(journal.Finish); !ok {
		w.t.Errorf("the journal has no end")
	}
}

// finish is how the latest run ended on a host.
func (w *world) finish(host string) journal.Finish {
	w.t.Helper()
	recs := w.mine(host)
	if len(recs) > 0 {
		if f, ok := recs[len(recs)-1].Body.(journal.Finish); ok {
			return f
		}
	}
	w.t.Fatalf("the journal of %s has no end", host)
	return journal.Finish{}
}

// essence is a journal without what differs from run to run: times, IDs, names of temporary things.
func essence(t *testing.T, recs []journal.Record, forget *strings.Replacer) string {
	t.Helper()
	var out strings.Builder
	for _, r := range recs {
		r.Time = time.Time{}
		switch b := r.Body.(type) {
		case journal.Start:
			b.Run, b.Address = "", ""
			r.Body = b
		case journal.Outcome:
			b.Millis = 0
			r.Body = b
		case journal.End:
			b.Millis = 0
			r.Body = b
		case journal.Finish:
			b.Millis = 0
			r.Body = b
		}
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(forget.Replace(string(line)) + "\n")
	}
	return out.String()
}

// me is who this is: a plan predicts files of the user that it logs in as, and the servers of tests let anybody be us.
func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// differ tells the first lines in which two texts differ.
func differ(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out strings.Builder
	for i, n := 0, 0; i < min(len(la), len(lb)) && n < 5; i++ {
		if la[i] != lb[i] {
			fmt.Fprintf(&out, "line %d\n- %s\n+ %s\n", i+1, la[i], lb[i])
			n++
		}
	}
	if len(la) != len(lb) {
		fmt.Fprintf(&out, "%d lines and %d", len(la), len(lb))
	}
	return out.String()
}
