package bench

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// The W100 server, as bundles/bench/w100.star has it with one application.
const (
	folders, templates, links, lines, built = 20, 40, 10, 10, 5
)

func w100Packages() []string { return []string{"git", "rsync", "cron", "sudo", "acl"} }
func w100Services() []string {
	return []string{"cron", "ssh", "dbus", "systemd-logind", "systemd-journald"}
}

// Floor is W100 as one shell script that a person might write by hand, with a guard before everything: nothing is sent but the script, and
// nothing is started but what looks. settings is the text of the template. The packages have to be there: who installs some has other
// worries than the milliseconds of a script.
func Floor(settings string) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("set -e")
	for _, p := range w100Packages() {
		say("dpkg-query -W -f '${Status}' %s | grep -q 'ok installed'", p)
	}
	for _, g := range []string{"app", "ops"} {
		say("getent group %[1]s >/dev/null || groupadd --system %[1]s", g)
	}
	for _, u := range []string{"app1", "app2", "app3"} {
		say("getent passwd %[1]s >/dev/null || useradd --create-home --gid app --shell /bin/bash %[1]s", u)
	}
	for i := range folders {
		say(`d=/srv/app/d%02d; [ "$(stat -c %%a:%%U:%%G "$d" 2>/dev/null)" = 750:app1:app ] || install -d -m 750 -o app1 -g app "$d"`, i)
	}
	for i := range templates {
		text := strings.NewReplacer("{{ name }}", fmt.Sprintf("n%d", i), "{{ port }}", fmt.Sprint(8000+i)).Replace(settings)
		say("f=/srv/app/d%02d/f%02d.conf", i/2, i)
		say(`[ "$(sha256sum <"$f" 2>/dev/null)" = '%x  -' ] || cat >"$f" <<'END'`+"\n%sEND", sha256.Sum256([]byte(text)), text)
		say(`[ "$(stat -c %%a:%%U:%%G "$f")" = 640:app1:app ] || { chown app1:app "$f"; chmod 640 "$f"; }`)
	}
	for i := range links {
		say(`[ "$(readlink /srv/app/l%02[1]d)" = /srv/app/d%02[1]d ] || ln -sfn /srv/app/d%02[1]d /srv/app/l%02[1]d`, i)
	}
	for i := range lines {
		say("grep -qs '^key%[1]d=value%[1]d$' /etc/app.conf || echo key%[1]d=value%[1]d >>/etc/app.conf", i)
	}
	for _, s := range w100Services() {
		say("systemctl is-active -q %[1]s || systemctl start %[1]s", s)
	}
	for i := range built {
		say("[ -e /srv/app/built%[1]d ] || echo built %[1]d >/srv/app/built%[1]d", i)
	}
	return b.String()
}

// Undo is a script that takes W100 away again, all but the packages, and fabgo's own folder with it.
const Undo = `for u in app1 app2 app3; do userdel --remove "$u" 2>/dev/null; done
for g in app ops; do groupdel "$g" 2>/dev/null; done
rm -rf /srv/app /etc/app.conf
sync
`
