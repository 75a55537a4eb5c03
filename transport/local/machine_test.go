//go:build linux

package local

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fabgo/internal/machines"
	"fabgo/transport"
	"fabgo/transport/tables"
)

// insideEnv says that the test binary runs within a machine.
const insideEnv = "FABGO_TEST_INSIDE"

// TestMachineNative runs this test binary within a machine, as root and as an ordinary user.
func TestMachineNative(t *testing.T) {
	m := machines.Boot(t, 1)[0]
	in, err := os.Open("/proc/self/exe")
	must(t, err)
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(m.Root, "usr/local/bin/inside"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, err)
	must(t, out.Close())
	run := func(user, tests string) {
		t.Helper()
		said := m.SSH(t, fmt.Sprintf("cd / && %s env %s=1 TMPDIR=/var/tmp inside -test.v -test.run '^(%s)$' 2>&1 || echo FAILED", user, insideEnv, tests))
		passed := !strings.Contains(said, "FAILED")
		for test := range strings.SplitSeq(tests, "|") {
			passed = passed && strings.Contains(said, "--- PASS: "+test+" ")
		}
		if !passed {
			t.Errorf("inside, %s:\n%s", user, said)
		}
		for line := range strings.Lines(said) {
			if strings.Contains(line, "ns/op") || strings.Contains(line, "rows are the same") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
	m.SSH(t, unitsScript)
	run("", "TestInsideUnits|TestConformance")
	run("runuser -u deploy --", "TestInsideUnits")
	run("", "TestNothingIsExecuted|TestInsideFreshUnits|TestInsideChroot|TestInsideNoBus|TestInsideAccounts")
	bench := "-test.run '^$' -test.bench InsideUnits -test.benchtime 50ms -test.count 5"
	for line := range strings.Lines(m.SSH(t, fmt.Sprintf("env %s=1 inside %s", insideEnv, bench))) {
		if strings.Contains(line, "ns/op") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// unitsScript makes a unit of every sort.
const unitsScript = `set -e
apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install dbus libnss-systemd < /dev/null > /dev/null 2>&1
cd /etc/systemd/system
unit() { printf '[Unit]\nDescription=%s\n[Service]\n%s\n' "$1" "$2" > "$1"; [ -z "$3" ] || printf '[Install]\n%s\n' "$3" >> "$1"; }
long='ExecStart=/bin/sleep infinity'
unit on.service "$long" WantedBy=multi-user.target
unit off.service "$long" WantedBy=multi-user.target
unit static.service "$long"
unit fails.service 'ExecStart=/bin/false'
unit times-out.service 'ExecStart=/bin/sleep infinity
TimeoutStartSec=1
Type=notify'
unit reloads.service "$long
ExecReload=/bin/true"
unit stale.service "$long"
unit t@.service "$long" WantedBy=multi-user.target
unit real.service "$long" 'WantedBy=multi-user.target
Alias=nick.service'
unit also.service "$long" Also=on.service
unit done.service 'Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true'
unit starts.service 'Type=notify
TimeoutStartSec=infinity
ExecStart=/bin/sleep infinity'
unit bad.service 'Type=nonsense'
unit worse.service 'ExecStart=no/absolute/path'
unit gone.service "$long"
unit 'with\x2dodd:name_1.service' "$long"
unit 9.service "$long"
unit dropped.service "$long"
mkdir -p dropped.service.d /opt/units
printf '[Service]\nExecReload=/bin/true\n' > dropped.service.d/more.conf
unit ticks.service 'ExecStart=/bin/true'
printf '[Timer]\nOnCalendar=yearly\n[Install]\nWantedBy=timers.target\n' > ticks.timer
unit listens.service "$long"
printf '[Socket]\nListenStream=/run/listens\n[Install]\nWantedBy=sockets.target\n' > listens.socket
printf '[Path]\nPathExists=/no/such/file\n' > watches.path
unit watches.service "$long"
printf '[Unit]\nDescription=x\n' > goal.target
printf '[Mount]\nWhat=none\nWhere=/mnt/x\nType=tmpfs\n' > mnt-x.mount
printf '[Automount]\nWhere=/mnt/y\n' > mnt-y.automount
printf '[Mount]\nWhat=none\nWhere=/mnt/y\nType=tmpfs\n' > mnt-y.mount
printf '[Service]\n%s\n' "$long" > /opt/units/linked.service
ln -s /no/such/file dangling.service
: > empty.service
systemctl daemon-reload
systemctl link /opt/units/linked.service
systemctl enable on.service real.service t@en.service ticks.timer 2>&1
systemctl mask off2.service
systemctl mask --runtime ticks2.timer
systemctl start on.service reloads.service stale.service t@one.service real.service done.service gone.service ticks.timer listens.socket watches.path goal.target mnt-x.mount 9.service 'with\x2dodd:name_1.service'
systemctl start fails.service times-out.service mnt-y.automount || true
systemctl start --no-block starts.service
systemd-run --unit passing.service --collect sleep infinity 2>&1
systemd-run --scope --unit passing2.scope --slice passing.slice sleep infinity </dev/null >/dev/null 2>&1 &
for i in $(seq 100); do systemctl is-active -q passing2.scope && break; sleep 0.1; done
systemctl mask --now on2.service static2.service 2>&1
rm gone.service
echo '# changed' >> stale.service
`

// sorts are the units that the test is about, with what is known of them: load, active and enabled.
var sorts = map[string]string{
	"on.service": "loaded active enabled", "off.service": "loaded inactive disabled", "static.service": "loaded inactive static",
	"fails.service": "loaded failed static", "times-out.service": "loaded failed static", "reloads.service": "loaded active static",
	"stale.service": "loaded active static", "t@one.service": "loaded active disabled", "t@en.service": "loaded inactive enabled",
	"t@two.service": "loaded inactive disabled", "real.service": "loaded active enabled", "nick.service": "loaded active enabled",
	"also.service": "loaded inactive indirect", "done.service": "loaded active static", "starts.service": "loaded activating static",
	"bad.service": "bad-setting inactive static", "worse.service": "bad-setting inactive static", "gone.service": "",
	`with\x2dodd:name_1.service`: "loaded active static", "9.service": "loaded active static", "dropped.service": "loaded inactive static",
	"ticks.timer": "loaded active enabled", "ticks.service": "loaded inactive static", "listens.socket": "loaded active disabled",
	"watches.path": "loaded active static", "goal.target": "loaded active static", "mnt-x.mount": "loaded active static",
	"mnt-y.automount": "", "linked.service": "loaded inactive linked", "dangling.service": "", "empty.service": "", "off2.service": "masked inactive masked",
	"ticks2.timer": "masked inactive masked-runtime", "passing.service": "loaded active transient", "passing2.scope": "loaded active transient", "passing.slice": "loaded active ",
	"on2.service": "masked inactive masked", "-.mount": "", "-.slice": "", "init.scope": "", "basic.target": "", "nosuch.service": "not-found inactive ",
	"nosuch.socket": "not-found inactive ", "nosuch.target": "not-found inactive ", "nosuch.mount": "", "nosuch.automount": "", "nosuch.swap": "", "nosuch.timer": "", "nosuch.path": "",
	"nosuch.slice": "", "nosuch.scope": "", "nosuch.device": "", "no@such.service": "not-found inactive ", "dbus.service": "", "systemd-journald.service": "", "a-b-c.slice": "",
	strings.Repeat("n", 247) + ".service": "not-found inactive ",
}

// needInside skips what makes sense within a machine only.
func needInside(t testing.TB) *Host {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		t.Skip("this is a part of TestMachineNative")
	}
	h, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func units(t *testing.T, src tables.Source, keys ...string) map[string]string {
	t.Helper()
	rows, err := tables.Lookup(t.Context(), src, transport.Lookup{Table: transport.Units, Keys: transport.Texts(keys...)})
	must(t, err)
	out := map[string]string{}
	for _, r := range rows.Rows {
		var cells []string
		for _, k := range slices.Sorted(maps.Keys(r.Fields)) {
			cells = append(cells, fmt.Sprintf("%s=%q", k, r.Fields[k]))
		}
		out[string(r.Key)] = strings.Join(cells, " ")
	}
	return out
}

// commands is the source without its native side.
func commands(h *Host) tables.Source { return struct{ tables.Source }{source{h}} }

// TestInsideUnits: systemd's own answers make the rows that systemctl's make.
func TestInsideUnits(t *testing.T) {
	h := needInside(t)
	names := slices.Sorted(maps.Keys(sorts))
	if _, ok, err := (source{h}).ShowUnits(t.Context(), names); !ok || err != nil {
		t.Fatalf("systemd was not asked: %v", err)
	}
	same := 0
	for what, keys := range map[string][]string{"by name": names, "all": nil} {
		before := units(t, commands(h), keys...)
		native := units(t, source{h}, keys...)
		after := units(t, commands(h), keys...)
		if keys != nil && len(native) != len(keys) {
			t.Errorf("%d rows for %d units", len(native), len(keys))
		}
		for name, row := range native {
			switch row {
			case before[name], after[name]: // what begins or ends meanwhile may differ from one of them
				same++
			default:
				t.Errorf("%s: unit %s:\n%s\nfrom systemctl:\n%s", what, name, row, after[name])
			}
		}
		for name := range after {
			if _, ok := native[name]; !ok && before[name] != "" {
				t.Errorf("%s: unit %s is missing", what, name)
			}
		}
	}
	t.Logf("%d rows are the same", same)
	rows, err := transport.Do[transport.Rows](t.Context(), h, transport.Lookup{Table: transport.Units, Keys: transport.Texts(names...)})
	must(t, err)
	for _, r := range rows.Rows {
		f := r.Fields
		if want, got := sorts[string(r.Key)], fmt.Sprintf("%s %s %s", f["load"], f["active"], f["enabled"]); want != "" && got != want {
			t.Errorf("%s is %q, want %q", r.Key, got, want)
		}
		if stale := r.Key == "stale.service" || r.Key == "gone.service"; (f["stale"] == "yes") != stale {
			t.Errorf("%s: stale %s", r.Key, f["stale"])
		}
	}
}

// TestInsideFreshUnits: what happens to units behind the host's back, to systemd itself too, is seen by the next question.
func TestInsideFreshUnits(t *testing.T) {
	h := needInside(t)
	field := func(name, field string) transport.Text {
		t.Helper()
		rows, err := transport.Do[transport.Rows](t.Context(), h, transport.Lookup{Table: transport.Units, Keys: transport.Texts(name)})
		must(t, err)
		return rows.Rows[0].Fields[field]
	}
	do := func(argv ...string) {
		t.Helper()
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
	}
	expect := func(name, column string, want transport.Text) {
		t.Helper()
		if got := field(name, column); got != want {
			t.Errorf("%s of %s is %q, want %q", column, name, got, want)
		}
	}
	expect("stale.service", "stale", "yes")
	do("systemctl", "daemon-reload")
	expect("stale.service", "stale", "no")
	expect("off.service", "active", "inactive")
	do("systemctl", "enable", "--now", "off.service")
	expect("off.service", "active", "active")
	expect("off.service", "enabled", "enabled")
	for range 2 {
		do("systemctl", "daemon-reexec")
		expect("off.service", "active", "active")
	}
	do("systemctl", "stop", "off.service")
	expect("off.service", "active", "inactive")
	must(t, os.WriteFile("/etc/systemd/system/new.service", []byte("[Service]\nExecStart=/bin/true\n"), 0o644))
	expect("new.service", "load", "loaded")
	if _, ok, err := (source{h}).ShowUnits(t.Context(), []string{"off.service"}); !ok || err != nil {
		t.Errorf("systemd is not asked any more: %v", err)
	}
	must(t, h.Close())
	expect("off.service", "enabled", "enabled")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.tables.Lookup(ctx, transport.Lookup{Table: transport.Units, Keys: transport.Texts("off.service")}); transport.KindOf(err) != transport.Interrupted {
		t.Errorf("interrupted: %v", err)
	}
}

// TestInsideChroot: within a chroot the systemd outside is not ours to ask.
func TestInsideChroot(t *testing.T) {
	h := needInside(t)
	if os.Getenv(insideEnv) == "chroot" {
		_, err := h.Do(t.Context(), transport.Lookup{Table: transport.Units, Keys: transport.Texts("on.service")})
		if transport.KindOf(err) != transport.Unsupported {
			t.Errorf("%v", err)
		}
		return
	}
	script := `mount -t tmpfs none "$0" && cd "$0" && mkdir proc run dev bin && for d in proc run dev; do mount --rbind /$d $d; done
		cp /usr/local/bin/inside bin && for f in $(ldd bin/inside | grep -o '/[^ )]*'); do mkdir -p ".${f%/*}" && cp "$f" ".$f"; done
		exec chroot . /bin/inside -test.v -test.run '^TestInsideChroot$'`
	cmd := exec.Command("unshare", "-m", "sh", "-c", script, t.TempDir())
	cmd.Env = append(os.Environ(), insideEnv+"=chroot", "TMPDIR=/run")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInsideNoBus: where systemd cannot be asked, systemctl has the word.
func TestInsideNoBus(t *testing.T) {
	h := needInside(t)
	if os.Getenv(insideEnv) == "nobus" {
		if _, ok, err := (source{h}).ShowUnits(t.Context(), []string{"on.service"}); ok || err != nil {
			t.Errorf("systemd was asked: %v, %v", ok, err)
		}
		_, err := h.Do(t.Context(), transport.Lookup{Table: transport.Units, Keys: transport.Texts("on.service")})
		if transport.KindOf(err) != transport.Unsupported || !strings.Contains(err.Error(), "Failed to connect to bus") {
			t.Errorf("%v", err)
		}
		return
	}
	script := `mount --bind /dev/null /run/systemd/private && mount -t tmpfs none /run/dbus && exec inside -test.v -test.run '^TestInsideNoBus$'`
	cmd := exec.Command("unshare", "-m", "sh", "-c", script)
	cmd.Env = append(os.Environ(), insideEnv+"=nobus")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInsideAccounts: the name service is asked without a command when it has nothing to add, and with one when it has.
func TestInsideAccounts(t *testing.T) {
	h := needInside(t)
	silent := func() bool {
		rows, err := transport.Do[transport.Rows](t.Context(), h, transport.Lookup{Table: transport.Users, Keys: transport.Texts("inside-dynamic")})
		must(t, err)
		return len(rows.Rows) == 0
	}
	if !silent() {
		t.Fatal("there is an account inside-dynamic")
	}
	b, err := os.ReadFile("/etc/nsswitch.conf")
	must(t, err)
	if out, err := exec.Command("systemd-run", "--unit", "inside-dynamic", "--service-type", "exec", "-p", "DynamicUser=yes", "--collect", "sleep", "infinity").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	defer exec.Command("systemctl", "stop", "inside-dynamic").Run() //nolint:errcheck // the machine ends anyway
	if out, err := exec.Command("getent", "passwd", "inside-dynamic").Output(); err != nil {
		t.Fatalf("getent does not know the dynamic user: %v %s; nsswitch.conf:\n%s", err, out, b)
	}
	if silent() {
		t.Error("getent knows the dynamic user, and we do not")
	}
}

// BenchmarkInsideUnits asks systemd and, for comparison, systemctl.
func BenchmarkInsideUnits(b *testing.B) {
	h := needInside(b)
	names := []string{"basic.target", "on.service", "off.service", "fails.service", "t@one.service", "-.mount", "systemd-journald.service", "multi-user.target",
		"no-such.service", "ticks.timer"}
	for _, n := range []int{1, 10} {
		for how, src := range map[string]tables.Source{"bus": source{h}, "systemctl": commands(h)} {
			b.Run(fmt.Sprintf("%d-%s", n, how), func(b *testing.B) {
				for b.Loop() {
					if _, err := tables.Lookup(b.Context(), src, transport.Lookup{Table: transport.Units, Keys: transport.Texts(names[:n]...)}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
