package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"fabgo/internal/machines"
	"fabgo/internal/machines/lag"
)

// The environment of TestMachineBenchmarks: what make bench sets.
const (
	envOut    = "FABGO_BENCH"        // the file that the report goes to; without it nothing is measured
	envRounds = "FABGO_BENCH_ROUNDS" // default 7
	envHosts  = "FABGO_BENCH_HOSTS"  // how many are "many": default 10
	envPeers  = "FABGO_BENCH_PEERS"  // 1: measure those of the peers that are installed
)

const (
	rtt        = 50 * time.Millisecond
	treeFiles  = 5000
	manyInApps = "applications=11" // a thousand resources
)

// lab is what the measurements share.
type lab struct {
	t        *testing.T
	dir      string // of this run
	repo     string // the root of the repository
	fabgo    string // binaries
	dial     string
	floor    string // the script
	machines []*machines.Machine
	rounds   int
}

func TestMachineBenchmarks(t *testing.T) {
	out := os.Getenv(envOut)
	if out == "" {
		t.Skip("measures for many minutes, and only when " + envOut + " names a file (make bench)")
	}
	many := number(t, envHosts, 10)
	l := &lab{t: t, dir: t.TempDir(), rounds: number(t, envRounds, 7)}
	l.build()
	l.machines = machines.Boot(t, many)
	r := newReport(l)
	l.measureDirect(r)
	l.measureFirst(r)
	l.measureHelper(r)
	l.measureMany(r)
	l.measureSync(r)
	if os.Getenv(envPeers) == "1" {
		l.measurePeers(r)
	}
	var b bytes.Buffer
	if err := r.write(&b); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", b.String())
	if err := os.WriteFile(out, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number", name, s)
	}
	return n
}

// build makes fabgo as make build does, and the floor.
func (l *lab) build() {
	wd, err := os.Getwd()
	if err != nil {
		l.t.Fatal(err)
	}
	l.repo = filepath.Join(wd, "..", "..")
	l.fabgo, l.dial = filepath.Join(l.dir, "fabgo"), filepath.Join(l.dir, "dial")
	for out, pkg := range map[string]string{l.fabgo: "./cmd/fabgo", l.dial: "./internal/bench/dial"} {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=bench", "-o", out, pkg)
		cmd.Dir, cmd.Env = l.repo, append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			l.t.Fatalf("build %s: %v\n%s", pkg, err, b)
		}
	}
	settings, err := os.ReadFile(filepath.Join(l.repo, "bundles/bench/templates/settings.conf.j2"))
	if err != nil {
		l.t.Fatal(err)
	}
	l.floor = Floor(string(settings))
}

// target is a machine at an address.
type target struct {
	addr, key, known string
}

func direct(m *machines.Machine) target { return target{m.Addr, m.KeyFile, m.KnownHostsFile} }

// away is the machine at the end of a long line.
func (l *lab) away(m *machines.Machine) target {
	p, err := lag.Listen("127.0.0.1:0", m.Addr, rtt)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { p.Close() })
	b, err := os.ReadFile(m.KnownHostsFile)
	if err != nil {
		l.t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		l.t.Fatal(err)
	}
	var known strings.Builder
	for line := range strings.Lines(string(b)) {
		_, key, _ := strings.Cut(line, " ")
		fmt.Fprintf(&known, "[%s]:%s %s", host, port, key)
	}
	file := filepath.Join(l.dir, "known-"+port)
	if err := os.WriteFile(file, []byte(known.String()), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return target{p.Addr(), m.KeyFile, file}
}

// command runs a program to its end.
func (l *lab) command(stdin string, argv ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(l.dir, "state"), "XDG_CACHE_HOME="+filepath.Join(l.dir, "cache"))
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out[max(0, len(out)-2000):])
	}
	return nil
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (g target) ssh(args ...string) []string {
	host, port, _ := net.SplitHostPort(g.addr)
	return append([]string{"ssh", "-F", "none", "-p", port, "-i", g.key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
		"-o", "GlobalKnownHostsFile=none", "-o", "UserKnownHostsFile=" + g.known, "root@" + host}, args...)
}

// play is a run or a plan of a bundle on some targets, which share a key.
func (l *lab) play(verb, bundle string, args []string, on ...target) func() error {
	argv := []string{l.fabgo, verb, "-F", "none", "--identity", on[0].key}
	known := on[0].known
	if len(on) > 1 {
		known = filepath.Join(l.dir, "known-all")
		var all []byte
		for _, g := range on {
			b, err := os.ReadFile(g.known)
			l.must(err)
			all = append(all, b...)
		}
		l.must(os.WriteFile(known, all, 0o600))
	}
	argv = append(argv, "--known-hosts", known)
	for _, g := range on {
		argv = append(argv, "-H", "root@"+g.addr)
	}
	argv = append(append(argv, bundle), args...)
	return func() error { return l.command("", argv...) }
}

func (l *lab) w100(verb string, args []string, on ...target) func() error {
	return l.play(verb, filepath.Join(l.repo, "bundles/bench/w100.star"), args, on...)
}

// undo takes W100 away, and fabgo with its helper too.
func (l *lab) undo(g target, helper bool) func() error {
	script := Undo
	if helper {
		script += "rm -rf /var/lib/fabgo\n"
	}
	return func() error { return l.command(script, g.ssh("sh", "-s")...) }
}

// basics are what everything is compared with.
func (l *lab) basics(g target) (ssh, dial, floor *Case) {
	ssh = &Case{Name: "OpenSSH: ssh host true", Run: func() error { return l.command("", g.ssh("true")...) }}
	dial = &Case{Name: "Go: dial and exec true", Run: func() error { return l.command("", l.dial, g.addr, g.key, g.known) }}
	floor = &Case{Name: "shell script by hand", Run: func() error { return l.command(l.floor, g.ssh("sh", "-s")...) }}
	return ssh, dial, floor
}

// measureDirect measures W100 where nothing changes, near and far.
func (l *lab) measureDirect(r *report) {
	near := direct(l.machines[0])
	l.must(l.w100("run", nil, near)())
	for _, line := range []struct {
		at    target
		where string
		limit float64
	}{{near, "direct", 2.0}, {l.away(l.machines[0]), "50 ms away", 1.4}} {
		ssh, dial, floor := l.basics(line.at)
		run := &Case{Name: "fabgo run W100", Run: l.w100("run", nil, line.at)}
		plan := &Case{Name: "fabgo plan W100", Run: l.w100("plan", nil, line.at)}
		l.must(Interleave(l.rounds, ssh, dial, floor, run, plan))
		r.times(line.where, ssh, dial, floor, run, plan)
		r.ratio("W100, no change, "+line.where, run, dial, line.limit)
		r.ratio("W100, no change, "+line.where, run, floor, 1)
		r.ratio("W100, plan, "+line.where, plan, dial, 0)
	}
}

// measureFirst measures W100 on a machine that has nothing of it but the packages.
func (l *lab) measureFirst(r *report) {
	g := direct(l.machines[0])
	_, _, floor := l.basics(g)
	floor.Name, floor.Before = "shell script by hand, first run", l.undo(g, true)
	cold := &Case{Name: "fabgo run W100, first run, the helper is brought", Before: l.undo(g, true), Run: l.w100("run", nil, g)}
	warm := &Case{Name: "fabgo run W100, first run, the helper is there", Before: l.undo(g, false), Run: l.w100("run", nil, g)}
	l.must(Interleave(l.rounds, floor, cold, warm))
	r.times("first run", floor, cold, warm)
	r.ratio("W100, first run, the helper is brought", cold, floor, 1.5)
	r.ratio("W100, first run, the helper is there", warm, floor, 0)
}

// measureHelper measures what the helper weighs and how fast it starts.
func (l *lab) measureHelper(r *report) {
	b, err := os.ReadFile(l.fabgo)
	l.must(err)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(b)
	l.must(err)
	l.must(w.Close())
	r.bound("helper, to upload", fmt.Sprintf("%.2f MB", float64(packed.Len())/1e6), "6 MB", packed.Len() <= 6e6)

	sum := sha256.Sum256(b)
	run := l.w100("run", nil, direct(l.machines[0]))
	peaks := map[string]int{}
	for range l.rounds {
		for role, kb := range l.resident("fabgo-"+hex.EncodeToString(sum[:])[:9], run) {
			peaks[role] = max(peaks[role], kb)
		}
	}
	for _, role := range []string{"run", "own", "evaluate"} {
		r.bound("helper, resident in W100: "+role, fmt.Sprintf("%.1f MB", float64(peaks[role])*1024/1e6), "40 MB", peaks[role] > 0 && peaks[role]*1024 <= 40e6)
	}
	l.measureStart(r)
}

// resident runs f and gives the peak of the resident memory of processes with a name, in KiB, by the mode of the helper. The machine's
// processes are seen from here; each is looked at until it ends.
func (l *lab) resident(comm string, f func() error) map[string]int {
	stop, done := make(chan struct{}), make(chan map[string]int)
	go func() {
		peaks := map[string]int{}
		for {
			select {
			case <-stop:
				done <- peaks
				return
			default:
			}
			names, _ := filepath.Glob("/proc/[0-9]*/comm")
			for _, name := range names {
				if b, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(b)) != comm {
					continue
				}
				dir := filepath.Dir(name)
				argv, err := os.ReadFile(filepath.Join(dir, "cmdline"))
				words := strings.Split(string(argv), "\x00")
				status, serr := os.ReadFile(filepath.Join(dir, "status"))
				if err != nil || serr != nil || len(words) < 3 {
					continue
				}
				for line := range strings.Lines(string(status)) {
					if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
						if kb, err := strconv.Atoi(strings.Fields(rest)[0]); err == nil {
							peaks[words[2]] = max(peaks[words[2]], kb)
						}
					}
				}
			}
		}
	}()
	err := f()
	close(stop)
	peaks := <-done
	l.must(err)
	return peaks
}

// measureMany measures a thousand resources, and many hosts.
func (l *lab) measureMany(r *report) {
	g := direct(l.machines[0])
	more := []string{"--set", manyInApps}
	l.must(l.w100("run", more, g)())
	hundred := &Case{Name: "fabgo run, 100 resources", Run: l.w100("run", nil, g)}
	thousand := &Case{Name: "fabgo run, 1,000 resources", Run: l.w100("run", more, g)}
	l.must(Interleave(l.rounds, hundred, thousand))
	r.times("a thousand resources", hundred, thousand)
	r.ratio("1,000 resources, no change", thousand, hundred, 3)

	var all []target
	for _, m := range l.machines {
		all = append(all, direct(m))
	}
	l.must(l.w100("run", nil, all...)())
	one := &Case{Name: "fabgo run W100, one host", Run: l.w100("run", nil, g)}
	many := &Case{Name: fmt.Sprintf("fabgo run W100, %d hosts at once", len(all)), Run: l.w100("run", nil, all...)}
	l.must(Interleave(l.rounds, one, many))
	r.times("many hosts", one, many)
	r.ratio(fmt.Sprintf("%d hosts at once, no change", len(all)), many, one, 4)
}

// measureSync measures a tree of small files against rsync.
func (l *lab) measureSync(r *report) {
	g := direct(l.machines[0])
	repo := filepath.Join(l.dir, "sync")
	l.must(makeTree(filepath.Join(repo, "tree"), treeFiles))
	bundle := filepath.Join(repo, "sync.star")
	l.must(os.WriteFile(bundle, []byte("file.sync(\"tree\", \"/srv/by-fabgo\", owner = \"root\", group = \"root\")\n"), 0o600))
	shell := strings.Join(g.ssh()[:len(g.ssh())-1], " ")
	host, _, _ := net.SplitHostPort(g.addr)
	rsync := func() error {
		return l.command("", "rsync", "-a", "-e", shell, filepath.Join(repo, "tree")+"/", "root@"+host+":/srv/by-rsync/")
	}
	clean := func() error {
		return l.command("", g.ssh("rm -rf /srv/by-fabgo /srv/by-rsync /var/lib/fabgo/files; sync")...)
	}
	first := &Case{Name: "fabgo file.sync, first", Before: clean, Run: l.play("run", bundle, nil, g)}
	second := &Case{Name: "fabgo file.sync, second", Run: l.play("run", bundle, nil, g)}
	firstRsync := &Case{Name: "rsync -a, first", Before: clean, Run: rsync}
	secondRsync := &Case{Name: "rsync -a, second", Run: rsync}
	l.must(first.Run()) // the helper is there, and what it keeps of earlier runs is not what is measured
	l.must(Interleave(max(5, l.rounds/2), firstRsync, secondRsync, first, second))
	r.times(fmt.Sprintf("a tree of %d small files", treeFiles), firstRsync, secondRsync, first, second)
	r.ratio("file.sync, first", first, firstRsync, 1.5)
	r.ratio("file.sync, second", second, secondRsync, 1.2)
}

// makeTree makes a folder of small files that differ, fifty in each of its folders.
func makeTree(dir string, files int) error {
	for i := range files {
		name := filepath.Join(dir, fmt.Sprintf("d%03d", i/50), fmt.Sprintf("f%05d.txt", i))
		if i%50 == 0 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(name, bytes.Repeat(fmt.Appendf(nil, "line of file %d\n", i), 1+i%60), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// report is what was found, in the order in which it was.
type report struct {
	targets Table
	all     Table
	host    string
	rounds  int
	now     time.Time
}

func newReport(l *lab) *report {
	return &report{
		targets: Table{Title: "Ratios", Columns: []string{"what", "against", "got", "target", "holds"}},
		all:     Table{Title: "Times", Columns: []string{"where", "what", "median", "rounds"}},
		host:    shape(), rounds: l.rounds, now: time.Now().UTC(),
	}
}

func (r *report) times(where string, cases ...*Case) {
	for _, c := range cases {
		r.all.Add(where, c.Name, Seconds(c.Median()), strconv.Itoa(c.Rounds()))
	}
}

func (r *report) ratio(what string, c, than *Case, limit float64) {
	got, target, holds := c.Times(than), "", ""
	if limit > 0 {
		target, holds = fmt.Sprintf("%.1f", limit), yes(got <= limit)
	}
	r.targets.Add(what, than.Name, fmt.Sprintf("%.2f", got), target, holds)
}

func (r *report) bound(what, got, target string, holds bool) {
	r.targets.Add(what, "", got, target, yes(holds))
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (r *report) write(w io.Writer) error {
	_, err := fmt.Fprintf(w, `# Benchmarks

Written by `+"`make bench`"+` on %s, on %s. Everything runs on this one machine: fabgo, the Debian machines
that it works on (testdata/machines), and whatever else it has to do. What is compared takes turns, each case once a round; a ratio is the median of the ratios of the rounds, a time the
median of the times.

W100 is bundles/bench/w100.star: 5 packages, 2 groups, 3 users, 20 folders, 40 templates, 10 symlinks, 10 lines of configuration, 5 services and 5
guarded commands. "Dial and exec" is internal/bench/dial, the least that a connection can cost: its handshake, its login, and `+"`true`"+`. The
shell script (internal/bench/floor.go) does what W100 does, with a guard before each thing, in one ssh. First runs find the packages there.

`, r.now.Format("2006-01-02"), r.host)
	if err != nil {
		return err
	}
	if err := r.targets.Write(w); err != nil {
		return err
	}
	return r.all.Write(w)
}

// shape tells what machine this is.
func shape() string {
	model := "an unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	memory, kernel, load := "", "", ""
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kb int
		if _, err := fmt.Sscanf(string(b), "MemTotal: %d kB", &kb); err == nil {
			memory = fmt.Sprintf(", %d GB of memory", kb/1000/1000)
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = ", Linux " + strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = ", at a load of " + strings.Fields(string(b))[0] + " when it began"
	}
	return fmt.Sprintf("%d cores of %s%s%s%s", runtime.NumCPU(), model, memory, kernel, load)
}
