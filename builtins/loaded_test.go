package builtins

import (
	"strings"
	"testing"

	"fabgo/internal/journal"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

const loadedPath = "/var/lib/fabgo/state/loaded/app.service.json"

// TestOnIsExact: a service is loaded when it does not know a state yet, whoever made it, and else it is not.
func TestOnIsExact(t *testing.T) {
	on := "service.reload('app', on = c, settle = 0)\n"
	two := conf + "d = file.put('/etc/app.extra', content = 'x\\n')\n"
	both := "service.reload('app', on = [c, d, None], settle = 0)\n"
	write := func(path transport.Path, text string) func(*fake.Fake) {
		return func(f *fake.Fake) { f.WriteFile(path, text, "0644") }
	}
	for name, acts := range map[string][]act{
		"the change is of another task": {
			{say: "first", src: conf + on, loads: 1},
			{say: "without the handler", src: conf2},
			{say: "plan", src: conf2 + on, mode: journal.Planning, predicts: true},
			{say: "with it", src: conf2 + on, loads: 1},
			{say: "again", src: conf2 + on},
		},
		"the host has no record": {
			{say: "nothing changed", src: conf + on, fail: write("/etc/app.conf", "one\n")},
			{say: "still", src: conf + on},
			{say: "without the handler", src: conf2},
			{say: "with it", src: conf2 + on, loads: 1},
		},
		"another name in on": {
			{say: "first", src: conf + on, loads: 1},
			{say: "nothing new", src: two + both, fail: write("/etc/app.extra", "x\n")},
			{say: "other order", src: two + strings.Replace(both, "c, d", "d, c", 1)},
			{say: "a change", src: two + both, loads: 1, fail: write("/etc/app.extra", "y\n")},
			{say: "again", src: two + both},
		},
		"a file that two steps edit": {
			{say: "first", src: conf + "d = file.line('/etc/app.conf2', line = 'a', create = True)\nc = file.line('/etc/app.conf2', line = 'b')\n" + both, loads: 1},
			{say: "again", src: conf + "d = file.line('/etc/app.conf2', line = 'a', create = True)\nc = file.line('/etc/app.conf2', line = 'b')\n" + both},
			{say: "other order", src: conf + "c = file.line('/etc/app.conf2', line = 'a', create = True)\nd = file.line('/etc/app.conf2', line = 'b')\n" + both},
		},
		"twice in one run": {
			{say: "first", src: conf + on + on, loads: 1},
			{say: "plan", src: conf2 + on + on, mode: journal.Planning},
			{say: "edited in between", src: conf2 + on + "c = file.put('/etc/app.conf', content = 'three')\n" + on, loads: 2},
		},
		"a reload is no restart": {
			{say: "first", src: conf + on + strings.Replace(on, "reload", "restart", 1), loads: 2},
			{say: "again", src: conf + on + strings.Replace(on, "reload", "restart", 1)},
			{say: "a restart is a reload", src: conf2 + strings.Replace(on, "reload", "restart", 1) + on, loads: 1},
		},
		"restart after reloads": {
			{say: "first", src: conf + on, loads: 1},
			{say: "it knows this", src: conf + strings.Replace(on, "reload", "restart", 1)},
			{say: "of another task", src: conf2},
			{say: "not this", src: conf2 + strings.Replace(on, "reload", "restart", 1), loads: 1},
		},
		"first met by a restart": {
			{say: "first", src: conf + on, loads: 1},
			{say: "of another task", src: conf2},
			{say: "not this", src: conf2 + strings.Replace(on, "reload", "restart", 1), loads: 1},
			{say: "again", src: conf2 + strings.Replace(on, "reload", "restart", 1) + on},
		},
		"put back": {
			{say: "first", src: conf + on, loads: 1},
			{say: "by hand", src: conf + on, loads: 1, fail: write("/etc/app.conf", "by hand\n")},
			{say: "again", src: conf + on},
		},
		"what is wanted once only": {
			{say: "first", src: "c = file.put('/srv/a/b/app.conf', content = 'x', parents = True)\n" + on, loads: 1},
			{say: "again", src: "c = file.put('/srv/a/b/app.conf', content = 'x', parents = True)\n" + on},
			{say: "absent", src: "c = file.absent('/srv/a/b/app.conf')\n" + on, loads: 1},
			{say: "again", src: "c = file.absent('/srv/a/b/app.conf')\n" + on},
		},
		"it does not run": {
			{say: "first", src: conf + on, fail: func(f *fake.Fake) {
				f.PutUnit("app.service", fake.Unit{Active: "inactive", CanReload: true})
			}},
			{say: "it starts", src: conf + on, fail: func(f *fake.Fake) {
				f.PutUnit("app.service", fake.Unit{Active: "active", CanReload: true})
			}},
		},
		"it was on its way up": {
			{say: "first", src: conf + on, fail: func(f *fake.Fake) {
				f.PutUnit("app.service", fake.Unit{Active: "activating", CanReload: true})
			}},
			{say: "it has started", src: conf + on, loads: 1, fail: func(f *fake.Fake) {
				f.PutUnit("app.service", fake.Unit{Active: "active", CanReload: true})
			}},
		},
		"nothing named": {{say: "first", src: "service.reload('app', on = [])\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newCarrying(t).acts(acts)
		})
	}
}

// TestRunningOn: a service that runs is restarted, one that does not is started, once.
func TestRunningOn(t *testing.T) {
	c := newCarrying(t)
	c.host.PutUnit("app.service", fake.Unit{Active: "inactive", CanReload: true})
	on := "service.running('app', on = [c], settle = 0)\n"
	c.acts([]act{
		{say: "starts", src: conf + on, loads: 1},
		{say: "runs", src: conf + on},
		{say: "a plan", src: conf2 + on, mode: journal.Planning, predicts: true},
		{say: "a change", src: conf2 + on + on, loads: 1},
		{say: "again", src: conf2 + on},
	})
	p := c.play(journal.Planning, conf+on).ok()
	if d := differences(p.ends()[1].Diff); d != "loaded:app.service as of step 1 state: older than file:/etc/app.conf -> current " {
		t.Errorf("%q", d)
	}
	c.host.PutUnit("app.service", fake.Unit{Active: "failed", CanReload: true})
	c.acts([]act{{say: "failed", src: conf + on, loads: 1}, {say: "again", src: conf + on}})
}

// TestOnLaw: what the plan says is what the run does, and the plan does not touch the record.
func TestOnLaw(t *testing.T) {
	c := newCarrying(t)
	for _, verb := range []string{"running", "reload", "restart"} {
		c.law(strings.ReplaceAll(`
c = file.line("/etc/VERB.conf", line = "a", create = True)
service.VERB("app", on = c, settle = 0)
d = file.line("/etc/VERB.conf", line = "b")
service.VERB("app", on = [c, d], settle = 0)
e = file.put("/etc/VERB.extra", content = "x")
service.VERB("app", on = [c, d], settle = 0)
service.VERB("app", on = [c, d, e], settle = 0)
`, "VERB", verb)[1:], c.host.Snapshot)
	}
}

// TestLoadedBreaks: a record that cannot be read or written is an error, not a guess.
func TestLoadedBreaks(t *testing.T) {
	c := newCarrying(t)
	src := conf + "service.reload('app', on = c, settle = 0)\n"
	c.host.FailNext(transport.ReadOnlyFS, func(op transport.Op) bool { w, ok := op.(transport.Write); return ok && w.Path == loadedPath })
	c.play(journal.Running, src).fails(journal.Broken, "remember what app.service was loaded with")
	c.play(journal.Running, src).ok()
	if n := c.loads(); n != 2 {
		t.Errorf("loaded %d times: what is not remembered happens again", n)
	}
	for _, text := range []string{"", "{", `{"schema": 9}`} {
		c.host.WriteFile(loadedPath, text, "0600")
		c.play(journal.Running, src).fails(journal.Broken, "remove the file")
	}
}
