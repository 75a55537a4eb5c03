package bench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// measurePeers measures those of fabgo's peers that are installed on this machine, from Debian: ansible-core, ansible-mitogen and fabric. They
// need Python on the machine that they work on.
func (l *lab) measurePeers(r *report) {
	g := direct(l.machines[0])
	l.must(l.command("", g.ssh("DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-apt >/dev/null")...))
	settings, err := os.ReadFile(filepath.Join(l.repo, "bundles/bench/templates/settings.conf.j2"))
	l.must(err)
	for name, text := range map[string]string{"play.yml": playbook(), "fabfile.py": fabfile(), "settings.conf.j2": string(settings)} {
		l.must(os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600))
	}
	host, port, _ := net.SplitHostPort(g.addr)
	args := fmt.Sprintf("-F none -o IdentitiesOnly=yes -o GlobalKnownHostsFile=none -o UserKnownHostsFile=%s", g.known)
	ansible := func(env ...string) func() error {
		argv := append([]string{"env", "ANSIBLE_SSH_ARGS=" + args}, env...)
		return func() error {
			return l.command("", append(argv, "ansible-playbook", "-i", host+",", "-u", "root", "--private-key", g.key, "-e", "ansible_port="+port,
				"-e", "ansible_python_interpreter=/usr/bin/python3", "play.yml")...)
		}
	}
	const strategy = "/usr/lib/python3/dist-packages/ansible_mitogen/plugins/strategy"
	run := &Case{Name: "fabgo run W100", Run: l.w100("run", nil, g)}
	cases := []*Case{run}
	if installed("ansible-playbook") {
		cases = append(cases, &Case{Name: "Ansible", Run: ansible()}, &Case{Name: "Ansible, pipelined", Run: ansible("ANSIBLE_PIPELINING=1")})
		if _, err := os.Stat(strategy); err == nil {
			cases = append(cases, &Case{Name: "Mitogen", Run: ansible("ANSIBLE_STRATEGY_PLUGINS="+strategy, "ANSIBLE_STRATEGY=mitogen_linear")})
		}
	}
	if installed("fab") {
		cases = append(cases, &Case{Name: "Fabric", Run: func() error { return l.command("", "fab", "-i", g.key, "-H", "root@"+g.addr, "w100") }})
	}
	for _, c := range cases[1:] {
		l.must(c.Run()) // what is not as fabgo left it is mended
	}
	l.must(Interleave(3, cases...))
	r.times("peers, W100, no change, direct", cases...)
	for _, c := range cases[1:] {
		r.ratio("W100, no change, direct: "+c.Name, c, run, 0)
	}
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// playbook is W100 for Ansible.
func playbook() string {
	var b strings.Builder
	task := func(module, format string, args ...any) {
		fmt.Fprintf(&b, "    - %s: {%s}\n", module, fmt.Sprintf(format, args...))
	}
	b.WriteString("- hosts: all\n  gather_facts: false\n  tasks:\n")
	for _, p := range w100Packages() {
		task("apt", "name: %s, state: present", p)
	}
	for _, n := range []string{"app", "ops"} {
		task("group", "name: %s, system: true", n)
	}
	for _, u := range []string{"app1", "app2", "app3"} {
		task("user", "name: %[1]s, group: app, home: /home/%[1]s, shell: /bin/bash", u)
	}
	for i := range folders {
		task("file", "path: /srv/app/d%02d, state: directory, owner: app1, group: app, mode: '0750'", i)
	}
	for i := range templates {
		task("template", "src: settings.conf.j2, dest: /srv/app/d%02d/f%02d.conf, owner: app1, group: app, mode: '0640'", i/2, i)
		fmt.Fprintf(&b, "      vars: {name: n%d, port: %d}\n", i, 8000+i)
	}
	for i := range links {
		task("file", "path: /srv/app/l%02[1]d, src: /srv/app/d%02[1]d, state: link", i)
	}
	for i := range lines {
		task("lineinfile", "path: /etc/app.conf, create: true, regexp: '^key%[1]d=', line: 'key%[1]d=value%[1]d'", i)
	}
	for _, s := range w100Services() {
		more := ""
		if s == "cron" || s == "ssh" {
			more = ", enabled: true"
		}
		task("systemd", "name: %s, state: started%s", s, more)
	}
	for i := range built {
		task("shell", "cmd: 'echo built %[1]d > /srv/app/built%[1]d', creates: /srv/app/built%[1]d", i)
	}
	return b.String()
}

// fabfile is W100 for Fabric, in the way in which people write for it: look, then act, a command each.
func fabfile() string {
	return fmt.Sprintf(`from fabric import task
import io, os
TEXT = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "settings.conf.j2")).read()

def ok(c, cmd):
    return c.run(cmd, warn=True, hide=True).ok

def do(c, guard, cmd):
    if not ok(c, guard):
        c.run(cmd, hide=True)

@task
def w100(c):
    for p in %q.split():
        c.run("DEBIAN_FRONTEND=noninteractive apt-get install --assume-yes " + p, hide=True)
    for g in ["app", "ops"]:
        do(c, "getent group " + g, "groupadd --system " + g)
    for u in ["app1", "app2", "app3"]:
        do(c, "getent passwd " + u, "useradd -m -g app -s /bin/bash " + u)
    for i in range(%d):
        d = "/srv/app/d%%02d" %% i
        do(c, "test -e " + d, "mkdir -p " + d)
        c.run("chown app1:app %%s && chmod 0750 %%s" %% (d, d), hide=True)
    for i in range(%d):
        text = TEXT.replace("{{ name }}", "n%%d" %% i).replace("{{ port }}", str(8000 + i))
        f = "/srv/app/d%%02d/f%%02d.conf" %% (i // 2, i)
        c.put(io.BytesIO(text.encode()), f)
        c.run("chown app1:app %%s && chmod 0640 %%s" %% (f, f), hide=True)
    for i in range(%d):
        do(c, "test -e /srv/app/l%%02d" %% i, "ln -s /srv/app/d%%02d /srv/app/l%%02d" %% (i, i))
    for i in range(%d):
        do(c, "grep -q '^key%%d=value%%d$' /etc/app.conf" %% (i, i), "echo key%%d=value%%d >> /etc/app.conf" %% (i, i))
    for s in %q.split():
        do(c, "systemctl is-active " + s, "systemctl start " + s)
    for i in range(%d):
        do(c, "test -e /srv/app/built%%d" %% i, "echo built %%d > /srv/app/built%%d" %% (i, i))
`, strings.Join(w100Packages(), " "), folders, templates, links, lines, strings.Join(w100Services(), " "), built)
}
