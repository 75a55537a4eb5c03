package builtins

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

// carrying is a stage on a host in memory, with a service that runs and unsettled changes that are kept.
type carrying struct {
	*stage
	host *fake.Fake
}

const ledgerPath = "/var/lib/fabgo/state/unsettled/bundle.json"

func newCarrying(t *testing.T) *carrying {
	t.Helper()
	f := fake.New(fake.Options{})
	f.WriteFile("/etc/systemd/system/app.service", "[Service]\nExecStart=/bin/app\nExecReload=/bin/true\n[Install]\n", "0644")
	f.PutUnit("app.service", fake.Unit{Active: "active", Sub: "running", CanReload: true})
	s := newStage(t, f)
	s.carry = true
	return &carrying{s, f}
}

// loads is how often the service was started and reloaded.
func (c *carrying) loads() int {
	u, _ := c.host.Unit("app.service")
	return u.Starts + u.Reloads
}

// play plays a bundle and then again from its journal.
func (c *carrying) play(mode journal.Mode, source string, words ...string) *performance {
	c.t.Helper()
	p := c.stage.play(mode, source, words...)
	if p.verdict == journal.Interrupted {
		return p
	}
	c.again = p
	defer func() { c.again = nil }()
	again := c.stage.play(mode, source, words...)
	if again.verdict != p.verdict || again.status() != p.status() {
		c.t.Fatalf("the run ended %s:\n%s\nits replay %s:\n%s", p.verdict, p.status(), again.verdict, again.status())
	}
	return p
}

// act says how often the service has to be loaded in one run, and how the run ends.
type act struct {
	say   string
	src   string
	ends  journal.Verdict
	loads int // of the service, in this run
	mode  journal.Mode
	fail  func(f *fake.Fake) // what breaks in this run

	predicts bool // the plan says that the service would be loaded
}

func (c *carrying) acts(acts []act) {
	c.t.Helper()
	for _, a := range acts {
		before := c.loads()
		if a.fail != nil {
			a.fail(c.host)
		}
		if a.mode == "" {
			a.mode = journal.Running
		}
		if a.ends == "" {
			a.ends = journal.Finished
		}
		p := c.play(a.mode, a.src)
		if p.verdict != a.ends {
			c.t.Fatalf("%s: the session ended %s: %+v", a.say, p.verdict, p.finish.Error)
		}
		last := p.ends()[len(p.ends())-1]
		if a.mode == journal.Planning && (strings.HasPrefix(last.Resource, "unit:") && last.Changed) != a.predicts {
			c.t.Fatalf("%s: the plan says\n%s", a.say, p.status())
		}
		if n := c.loads() - before; n != a.loads {
			c.t.Fatalf("%s: the service was loaded %d times instead of %d\n%s", a.say, n, a.loads, p.status())
		}
	}
}

func systemctlFails(f *fake.Fake) {
	f.FailNext(transport.Timeout, func(op transport.Op) bool {
		e, ok := op.(transport.Exec)
		return ok && e.Change && e.Argv[0] == "systemctl"
	})
}

const (
	conf  = "c = file.put('/etc/app.conf', content = 'one\\n')\n"
	conf2 = "c = file.put('/etc/app.conf', content = 'two\\n')\n"
	boom  = "fail('boom')\n"
)

// TestPendingHandlers is F90: a handler that a failure kept from running runs in the next run.
func TestPendingHandlers(t *testing.T) {
	on := "service.reload('app', on = c, settle = 0)\n"
	plain := "if c:\n    service.reload('app', settle = 0)\n"
	atEnd := "def h():\n    service.reload('app', settle = 0)\nif c:\n    at_end(h)\n"
	running := "service.running('app', on = [c], settle = 0)\n"
	restart := "service.restart('app', on = [c], settle = 0)\n"
	for name, handler := range map[string]string{"if": plain, "on": on, "at_end": atEnd, "running": running, "restart": restart} {
		t.Run(name+"/the run fails before", func(t *testing.T) {
			newCarrying(t).acts([]act{
				{say: "fails", src: conf + boom + handler, ends: journal.Broken},
				{say: "plans", src: conf + handler, mode: journal.Planning, predicts: true},
				{say: "fails again", src: conf + boom + handler, ends: journal.Broken},
				{say: "mended", src: conf + handler, loads: 1},
				{say: "settled", src: conf + handler},
				{say: "plans nothing", src: conf + handler, mode: journal.Planning},
			})
		})
		t.Run(name+"/the handler fails", func(t *testing.T) {
			newCarrying(t).acts([]act{
				{say: "fails", src: conf + handler, ends: journal.Broken, fail: systemctlFails},
				{say: "mended", src: conf + handler, loads: 1},
				{say: "settled", src: conf + handler},
			})
		})
		t.Run(name+"/the host goes away when the file is written", func(t *testing.T) {
			newCarrying(t).acts([]act{
				{say: "lost", src: conf + handler, ends: journal.Unreachable, fail: func(f *fake.Fake) {
					f.FailNext(transport.Lost, func(op transport.Op) bool { w, ok := op.(transport.Write); return ok && w.Path == "/etc/app.conf" })
				}},
				{say: "again", src: conf + handler, loads: 1},
				{say: "settled", src: conf + handler},
			})
		})
	}
	t.Run("the run fails behind the handler", func(t *testing.T) {
		for name, again := range map[string]int{"if": 1, "on": 0} {
			handler := map[string]string{"if": plain, "on": on}[name]
			newCarrying(t).acts([]act{
				{say: name + " fails", src: conf + handler + boom, ends: journal.Broken, loads: 1},
				{say: name + " again", src: conf + handler, loads: again},
				{say: name + " settled", src: conf + handler},
			})
		}
	})
}

// TestCarried tells what the records of a carried change say.
func TestCarried(t *testing.T) {
	c := newCarrying(t)
	c.play(journal.Running, conf+boom).fails(journal.Broken, "boom")
	for _, mode := range []journal.Mode{journal.Planning, journal.Running} {
		p := c.play(mode, conf).ok()
		e := p.ends()[0]
		if e.Status != journal.Changed || !e.Changed || e.Carried != "r1" || e.Because != "carried over from run r1: that run did not reach its end" || len(e.Diff) > 0 {
			t.Errorf("%s: %+v", mode, e)
		}
		if s, _ := journal.StartOf(p.records); s.State != "/var/lib/fabgo/state" || !reflect.DeepEqual(s.Carried, []journal.Carried{{Builtin: "file.put", Resource: "file:/etc/app.conf", Run: "r1", Step: 1, Done: true}}) {
			t.Errorf("%s: %+v", mode, s)
		}
	}
	if p := c.play(journal.Running, conf).ok(); p.ends()[0].Status != journal.OK {
		t.Errorf("settled: %s", p.status())
	}
	if _, ok := c.host.ReadFile(ledgerPath); ok {
		t.Error("the ledger is still there")
	}
	// what differs and was carried is simply changed
	c.play(journal.Running, conf2+boom).fails(journal.Broken, "boom")
	if e := c.play(journal.Running, conf).ok().ends()[0]; e.Status != journal.Changed || e.Carried != "" || len(e.Diff) == 0 {
		t.Errorf("%+v", e)
	}
	// a bundle is mended between two runs: the file is the same, its builtin is not
	c.play(journal.Running, conf2+boom).fails(journal.Broken, "boom")
	if e := c.play(journal.Running, "file.line('/etc/app.conf', line = 'two')").ok().ends()[0]; e.Carried == "" {
		t.Errorf("%+v", e)
	}
}

// TestCarriedActions: a step that a guard skips hands its change on without doing it again.
func TestCarriedActions(t *testing.T) {
	c := newCarrying(t)
	c.host.OnExec("make", func(_ context.Context, f *fake.Fake, _ transport.Exec) (transport.Output, error) {
		f.WriteFile("/usr/local/bin/app", "x", "0755")
		return transport.Output{}, nil
	})
	source := `
r = run(["make"], creates = "/usr/local/bin/app")
if r.changed:
    service.restart("app", settle = 0)
`
	c.acts([]act{
		{say: "fails", src: strings.Replace(source, "if r", boom+"if r", 1), ends: journal.Broken},
		{say: "plans", src: source, mode: journal.Planning, predicts: true},
	})
	p := c.play(journal.Running, source).ok()
	e := p.ends()[0]
	if e.Status != journal.Skipped || !e.Changed || e.Carried != "r1" || e.Because != "creates: /usr/local/bin/app is there; changed: carried over from run r1: that run did not reach its end" {
		t.Errorf("%+v", e)
	}
	if n := c.loads(); n != 1 {
		t.Errorf("the service was restarted %d times", n)
	}
	c.acts([]act{{say: "settled", src: source}})
}

// TestNotVisited: what a run with other tasks did not come to stays carried.
func TestNotVisited(t *testing.T) {
	c := newCarrying(t)
	source := conf + `
def one():
    if file.put('/etc/one', content = 'x'):
        note('one')

def two():
    if file.put('/etc/two', content = 'x'):
        note('two')
`
	c.play(journal.Running, source+"def bad():\n    "+strings.TrimSpace(boom), "one", "two", "bad").fails(journal.Broken, "boom")
	for _, want := range []struct{ task, notes string }{{"one", "one"}, {"one", ""}, {"two", "two"}, {"two", ""}} {
		if p := c.play(journal.Running, source, want.task).ok(); p.notes() != want.notes {
			t.Errorf("%s: %q\n%s", want.task, p.notes(), p.status())
		}
	}
}

// TestForgotten: what the bundle does not ask for any more is forgotten, and said unless the step failed.
func TestForgotten(t *testing.T) {
	c := newCarrying(t)
	c.play(journal.Running, conf+"run(['nosuch'])").fails(journal.Broken, "nosuch")
	p := c.play(journal.Running, "note('x')").ok()
	if want := "x\nfile.put changed file:/etc/app.conf in run r1, which did not reach its end, and this run did not come to that step: what hangs on it does not happen"; p.notes() != want {
		t.Errorf("%q", p.notes())
	}
	if _, ok := c.host.ReadFile(ledgerPath); ok {
		t.Error("the ledger is still there")
	}
}

// TestHeldFailures: a step that failed and was held told the bundle nothing, and may have changed something all the same.
func TestHeldFailures(t *testing.T) {
	c := newCarrying(t)
	held := "x = attempt(lambda: file.put('/etc/app.conf', content = 'one\\n'))\nif x.value:\n    note('handled')\n"
	c.host.FailNext(transport.Timeout, func(op transport.Op) bool { w, ok := op.(transport.Write); return ok && w.Path == "/etc/app.conf" })
	c.play(journal.Running, held).ok()
	c.host.WriteFile("/etc/app.conf", "one\n", "0644")
	p := c.play(journal.Running, held).ok()
	if e := p.ends()[0]; e.Because != "carried over from run r1: the step failed there" || p.notes() != "handled" {
		t.Errorf("%+v %q", e, p.notes())
	}
	if p := c.play(journal.Running, held).ok(); p.notes() != "" {
		t.Errorf("%q", p.notes())
	}
}

// TestLedgerBreaks: what cannot be kept is not done, and what is not known is not guessed.
func TestLedgerBreaks(t *testing.T) {
	ledger := func(kind string) func(transport.Op) bool {
		return func(op transport.Op) bool {
			switch op := op.(type) {
			case transport.Write:
				return kind == "write" && op.Path == ledgerPath
			case transport.Read:
				return kind == "read" && op.Path == ledgerPath
			case transport.Remove:
				return kind == "remove" && op.Path == ledgerPath
			}
			return false
		}
	}
	c := newCarrying(t)
	c.host.FailNext(transport.NoSpace, ledger("write"))
	p := c.play(journal.Running, conf).fails(journal.Broken, "the change was not made, because it could not be kept")
	if _, ok := c.host.ReadFile("/etc/app.conf"); ok || !strings.Contains(p.finish.Error.Hint, "FABGO_STATE_DIR") {
		t.Errorf("it was made, or no hint: %+v", p.finish.Error)
	}
	c.host.FailNext(transport.Unreachable, ledger("remove"))
	c.play(journal.Running, conf).fails(journal.Unreachable, "the next run carries them over")
	if e := c.play(journal.Running, conf).ok().ends()[0]; e.Carried == "" {
		t.Errorf("%+v", e)
	}
	c.host.FailNext(transport.Denied, ledger("read"))
	c.play(journal.Running, conf).fails(journal.Broken, "nothing was begun")
	c.host.MakeDir("/var/lib/fabgo/state/unsettled", "0700")
	for _, text := range []string{"{", "", `{"schema": 9}`} {
		c.host.WriteFile(ledgerPath, text, "0600")
		for _, mode := range []journal.Mode{journal.Planning, journal.Running} {
			c.play(mode, conf2).fails(journal.Broken, "remove the file to forget")
		}
	}
}

// TestCarriedRepository: a repository that is carried has been read already, so a plan knows what it offers.
func TestCarriedRepository(t *testing.T) {
	s, a := newAptStage(t)
	a.build(deb{name: "fabgo-carried", version: "1"})
	a.publish()
	s.carry = true
	s.run(a.repo()+boom).fails(journal.Broken, "boom")
	s.run("run(\"find /var/lib/apt /etc/apt -exec touch -h -d '3 hours ago' {} +\")\n"+boom).fails(journal.Broken, "boom")
	p := s.plan(a.repo() + "pkg.install('fabgo-carried')").ok()
	if got := p.status(); !strings.Contains(got, "apt.repo apt:repo test changed\n") || !strings.Contains(got, "pkg.install package:fabgo-carried changed") {
		t.Errorf("%s", got)
	}
}
