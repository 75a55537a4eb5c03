package builtins

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"fabgo/internal/controller"
	"fabgo/internal/converge"
	"fabgo/internal/journal"
	"fabgo/interp"
	"fabgo/transport"
	"fabgo/transport/hosttest/fake"
)

func TestOSRelease(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"debian", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n", "debian|12|bookworm|debian|Debian GNU/Linux 12 (bookworm)"},
		{"testing", "PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nVERSION_CODENAME=forky\nID=debian\n", "debian||forky|debian|Debian GNU/Linux forky/sid"},
		{"ubuntu", "NAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n", "ubuntu|24.04|noble|debian|"},
		{"alpine", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.1\n", "alpine|3.20.1||alpine|"},
		{"fedora", "ID=fedora\nVERSION_ID=41\nVERSION_CODENAME=\"\"\n", "fedora|41||redhat|"},
		{"rocky", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"", "rocky|9.4||redhat|"},
		{"leap", "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "opensuse-leap|||suse|"},
		{"odd", "# ID=no\r\n\r\n ID='od\"d' \r\nPRETTY_NAME=\"a \\\"b\\\" \\$c \\\\ =d\"\r\nnonsense\n=\nVERSION_ID=''", `od"d|||od"d|a "b" $c \ =d`},
		{"empty", "", "linux|||linux|"},
	} {
		f := fake.New(fake.Options{})
		f.WriteFile("/etc/os-release", c.text, "0644")
		p := newStage(t, f).run(`note("|".join([host.os.id, host.os.version, host.os.codename, host.os.family, host.os.name]))`).ok()
		if p.notes() != c.want {
			t.Errorf("%s: %q, want %q", c.name, p.notes(), c.want)
		}
	}
}

func TestFactsForReal(t *testing.T) {
	s := newLocal(t)
	p := s.run(`
for name in dir(host):
    if name != "interfaces":
        note(name + "=" + str(getattr(host, name)))
`).ok()
	facts := map[string]string{}
	for line := range strings.Lines(p.notes()) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		facts[k] = v
	}
	name, _ := os.Hostname()
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	memory, err := exec.Command("sh", "-c", `while read -r k v _; do [ $k = MemTotal: ] && echo $((v * 1024)); done </proc/meminfo; true`).Output()
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := exec.Command("grep", "-c", "^processor", "/proc/cpuinfo").Output()
	if err != nil {
		t.Fatal(err)
	}
	init := "other"
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		init = "systemd"
	}
	arch := map[string]string{"amd64": "amd64", "arm64": "arm64", "386": "i386"}[runtime.GOARCH]
	for k, want := range map[string]string{
		"name": "web1", "address": "local", "user": "root", "acting": "root", "hostname": name, "kernel": strings.TrimSpace(string(kernel)),
		"memory": strings.TrimSpace(string(memory)), "cpus": strings.TrimSpace(string(cpus)), "init": init, "arch": arch,
	} {
		if facts[k] != want {
			t.Errorf("host.%s is %q, want %q", k, facts[k], want)
		}
	}
	for _, f := range Facts() {
		if f.Doc == "" || f.Type == "" || f.Name != "interfaces" && facts[f.Name] == "" {
			t.Errorf("host.%s is %q: %+v", f.Name, facts[f.Name], f)
		}
	}
}

func TestInit(t *testing.T) {
	for _, c := range []struct{ folder, want string }{{"/run/systemd/system", "systemd"}, {"/run/openrc", "openrc"}, {"/run/other", "other"}} {
		f := fake.New(fake.Options{})
		s := newStage(t, f)
		s.run(`file.absent("/run/systemd", recursive = True)
file.dir("` + c.folder + `", parents = True)`).ok()
		if got := s.run(`note(host.init)`).ok().notes(); got != c.want {
			t.Errorf("with %s init is %q, want %q", c.folder, got, c.want)
		}
	}
}

func TestInterfaces(t *testing.T) {
	f := fake.New(fake.Options{})
	f.OnExec("ip", func(context.Context, *fake.Fake, transport.Exec) (transport.Output, error) {
		return transport.Output{Stdout: `[{"ifname":"lo","flags":["LOOPBACK","UP"],"address":"00:00:00:00:00:00","addr_info":[{"local":"127.0.0.1","prefixlen":8}]},
			{"ifname":"eth0","flags":["BROADCAST"],"address":"02:00:00:00:00:01","addr_info":[{"local":"10.0.0.5","prefixlen":24},{"local":"fe80::1","prefixlen":64}]}]`}, nil
	})
	p := newStage(t, f).run(`note(str([[i.name, i.mac, i.up, i.addresses] for i in host.interfaces]))`).ok()
	if want := `[["lo", "", True, ["127.0.0.1/8"]], ["eth0", "02:00:00:00:00:01", False, ["10.0.0.5/24", "fe80::1/64"]]]`; p.notes() != want {
		t.Errorf("%s", p.notes())
	}
}

// TestFactsAreAskedOnce, and again after a command.
func TestFactsAreAskedOnce(t *testing.T) {
	s := newLocal(t)
	p := s.run("host.kernel\nhost.kernel\nhost.kernel\nrun(\"true\")\nhost.kernel\nhost.kernel").ok()
	n := 0
	for _, r := range p.records {
		if b, ok := r.Body.(journal.Begin); ok && b.Builtin == "host.kernel" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("the kernel was asked for %d times", n)
	}
}

// TestManyHostsPlayOneBundle: what is shared between hosts is not changed by any.
func TestManyHostsPlayOneBundle(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"lib.star": "def deploy(name):\n    file.put(\"/etc/deployed\", content = name)\n    return shell(cwd = \"/etc\", env = {\"N\": name})\n\nseen = [1, 2]\n",
		"bundle.star": "load(\"lib.star\", \"deploy\", \"seen\")\nmine = []\nmine.append(host.name)\nsh = deploy(host.name)\nsh.file.put(\"more\", content = str(mine + seen))\n" +
			"attempt(lambda: fail(\"x\"))\nat_end(lambda: note(host.name))\nnote(host.os.id)\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	in, err := Interp(interp.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	b, err := in.Open(filepath.Join(dir, "bundle.star"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			f := fake.New(fake.Options{})
			name := fmt.Sprintf("web%d", i)
			ctl := &controller.Controller{Root: dir, Now: time.Now}
			rec := journal.NewRecorder(name, ctl.Over(f), time.Now, &memory{})
			v, err := Play{Interp: in, Bundle: b, Mode: journal.Running, Recorder: rec, Info: converge.Info{Name: name, User: "root", Acting: "root"}}.Run(t.Context())
			if err != nil || v != journal.Finished {
				t.Errorf("%s: %s, %v", name, v, err)
			}
			if got, _ := f.ReadFile("/etc/more"); got != `["`+name+`", 1, 2]` {
				t.Errorf("%s: %q", name, got)
			}
		})
	}
	wg.Wait()
}
