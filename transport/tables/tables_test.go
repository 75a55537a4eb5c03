package tables

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"fabgo/transport"
)

// script is a Source out of a map of files and a map of commands.
type script struct {
	files  map[transport.Path]string
	denied map[transport.Path]bool
	run    map[string]transport.Output // by the argv, joined by blanks; the longest prefix counts
	ran    []string
	reads  int
}

func (s *script) ReadFile(_ context.Context, p transport.Path) ([]byte, error) {
	s.reads++
	if s.denied[p] {
		return nil, &transport.Error{Kind: transport.Denied, Message: "read " + string(p) + ": denied"}
	}
	b, ok := s.files[p]
	if !ok {
		return nil, &transport.Error{Kind: transport.NotFound, Message: "read " + string(p) + ": not there"}
	}
	return []byte(b), nil
}

func (s *script) Exec(_ context.Context, op transport.Exec) (transport.Output, error) {
	var argv []string
	for _, a := range op.Argv {
		argv = append(argv, string(a))
	}
	line := strings.Join(argv, " ")
	s.ran = append(s.ran, line)
	best := ""
	for k := range s.run {
		if strings.HasPrefix(line, k) && len(k) > len(best) {
			best = k
		}
	}
	if best == "" {
		return transport.Output{}, &transport.Error{Kind: transport.NotFound, Message: "run " + argv[0] + ": no such program"}
	}
	return s.run[best], nil
}

// native is a script on the host itself.
type native struct {
	*script
	folders map[transport.Path][]string
	stamps  map[transport.Path]int64 // of what changed
	units   map[string]map[string]string
	mute    bool // systemd cannot be asked
}

func (n native) Stamp(_ context.Context, p transport.Path) (Stamp, error) {
	_, file := n.files[p]
	_, folder := n.folders[p]
	if !file && !folder {
		return Stamp{}, &transport.Error{Kind: transport.NotFound, Message: "stat " + string(p) + ": not there"}
	}
	if n.stamps[p] < 0 {
		return Stamp{}, nil
	}
	return Stamp{Ino: 1, Mtime: n.stamps[p]}, nil
}

func (n native) Names(_ context.Context, p transport.Path) ([]string, error) {
	names, ok := n.folders[p]
	if !ok {
		return nil, &transport.Error{Kind: transport.NotFound, Message: "list " + string(p) + ": not there"}
	}
	return names, nil
}

func (n native) ShowUnits(_ context.Context, names []string) (out []map[string]string, ok bool, err error) {
	if n.mute {
		return nil, false, nil
	}
	if n.units == nil {
		return nil, false, NoSystemd()
	}
	for _, name := range names {
		out = append(out, n.units[name])
	}
	return out, true, nil
}

func (n native) UnitNames(ctx context.Context) ([]string, bool, error) {
	if n.mute || n.units == nil {
		_, _, err := n.ShowUnits(ctx, nil)
		return nil, false, err
	}
	return slices.Collect(maps.Keys(n.units)), true, nil
}

// dump writes rows as text, a row a line.
func dump(rows transport.Rows) string {
	var b strings.Builder
	for _, r := range rows.Rows {
		fmt.Fprintf(&b, "%s:", r.Key)
		keys := []string{}
		for k := range r.Fields {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			fmt.Fprintf(&b, " %s=%q", k, r.Fields[k])
		}
		b.WriteString("\n")
	}
	return b.String()
}

const (
	passwd = "root:x:0:0:root:/root:/bin/bash\n# a comment\n+::::::\nbroken:x:1\nweb.app:x:1000:1000:Web, the app,,:/srv/web app:/bin/sh\nnoid:x:abc:1:::\n" +
		"ghost:x:1001:999::/nonexistent:/usr/sbin/nologin\r\n"
	group  = "root:x:0:\nsudo:x:27:web.app,root\nadm:x:4: web.app ,\nweb.app:x:1000:web.app\nbad:x\n"
	shadow = "root:*:19000:0:99999:7:::\nweb.app:$6$salt$hash:19000:0:99999:7::20000:\nghost:!$6$x:1:0:9:7:::\n"
)

func TestUsers(t *testing.T) {
	src := &script{files: map[transport.Path]string{"/etc/passwd": passwd, "/etc/group": group, "/etc/shadow": shadow}, run: map[string]transport.Output{
		"getent -- passwd": {Code: 2, Stdout: "ldap:*:70000:70001:L:/home/ldap:/bin/bash\n"},
		"getent -- group":  {Code: 0, Stdout: "domain users:*:70001:\nother:*:999:\n"},
		"id -Gnz -- ldap":  {Stdout: "domain users\x00wheel\x00"},
	}}
	rows, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Users, Keys: transport.Texts("1000", "nosuch", "ldap", "root", "ghost", "-x", "a\nb")})
	if err != nil {
		t.Fatal(err)
	}
	want := `web.app: expires="20000" gecos="Web, the app,," gid="1000" group="web.app" groups="adm,sudo" home="/srv/web app" locked="no" password="` +
		string(transport.DigestOf([]byte("$6$salt$hash"))) + `" shell="/bin/sh" uid="1000"
ldap: gecos="L" gid="70001" group="domain users" groups="wheel" home="/home/ldap" shell="/bin/bash" uid="70000"
root: gecos="root" gid="0" group="root" groups="sudo" home="/root" locked="yes" password="` + string(transport.DigestOf([]byte("*"))) + `" shell="/bin/bash" uid="0"
ghost: gecos="" gid="999" group="other" groups="" home="/nonexistent" locked="yes" password="` + string(transport.DigestOf([]byte("!$6$x"))) + `" shell="/usr/sbin/nologin" uid="1001"
`
	if got := dump(rows); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if want := []string{"getent -- passwd nosuch ldap -x", "id -Gnz -- ldap", "getent -- group 70001 999"}; !reflect.DeepEqual(src.ran, want) {
		t.Errorf("ran %q, want %q", src.ran, want)
	}
}

func TestUsersWithoutShadowAndGetent(t *testing.T) {
	src := &script{files: map[transport.Path]string{"/etc/passwd": passwd, "/etc/group": group}, denied: map[transport.Path]bool{"/etc/shadow": true}}
	rows, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Users})
	if err != nil {
		t.Fatal(err)
	}
	want := `ghost: gecos="" gid="999" groups="" home="/nonexistent" shell="/usr/sbin/nologin" uid="1001"
root: gecos="root" gid="0" group="root" groups="sudo" home="/root" shell="/bin/bash" uid="0"
web.app: gecos="Web, the app,," gid="1000" group="web.app" groups="adm,sudo" home="/srv/web app" shell="/bin/sh" uid="1000"
`
	if got := dump(rows); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if rows, err = Lookup(t.Context(), src, transport.Lookup{Table: transport.Users, Keys: transport.Texts("nosuch")}); err != nil || len(rows.Rows) != 0 {
		t.Errorf("a missing user: %v, %v", rows, err)
	}
}

func TestGroups(t *testing.T) {
	src := &script{files: map[transport.Path]string{"/etc/group": group}, run: map[string]transport.Output{"getent -- group": {Code: 2}}}
	rows, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Groups, Keys: transport.Texts("sudo", "nosuch", "04", "adm")})
	if err != nil {
		t.Fatal(err)
	}
	want := "sudo: gid=\"27\" members=\"root,web.app\"\nadm: gid=\"4\" members=\"web.app\"\nadm: gid=\"4\" members=\"web.app\"\n"
	if got := dump(rows); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

const dpkg = `Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22
Description: tools
 Version: 9 is not a field but a line of the description
 .
 Status: neither

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9

Package: libc6
Status: hold ok installed
Architecture: i386
Version: 2.36-8

Package: tzdata
Status: hold ok installed
Architecture: all
Version: 2025b

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: never
Status: unknown ok not-installed
Architecture: amd64

Package: half
Status: install reinstreq half-installed
Architecture: amd64
`

func TestPackages(t *testing.T) {
	src := native{script: &script{files: map[transport.Path]string{DpkgStatus: dpkg}}, folders: map[transport.Path][]string{dpkgUpdates: nil},
		stamps: map[transport.Path]int64{}}
	r := NewReader(src)
	lookup := func(keys ...string) transport.Rows {
		t.Helper()
		rows, err := r.Lookup(t.Context(), transport.Lookup{Table: transport.Packages, Keys: transport.Texts(keys...)})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	want := `tzdata: arch="all" hold="yes" status="installed" version="2025b"
libc6:i386: arch="i386" hold="yes" status="installed" version="2.36-8"
libc6: arch="amd64" hold="no" status="installed" version="2.36-9"
tzdata:amd64: arch="all" hold="yes" status="installed" version="2025b"
gone: arch="amd64" hold="no" status="config-files" version="1"
`
	if got := dump(lookup("tzdata", "libc6:i386", "libc6", "never", "nosuch", "tzdata:amd64", "gone")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if rows := lookup(); len(rows.Rows) != 6 || rows.Rows[3].Key != "libc6" || rows.Rows[4].Key != "libc6:i386" {
		t.Errorf("all packages:\n%s", dump(rows))
	}
	if src.reads != 1 {
		t.Errorf("the database was read %d times although its stamp is the same", src.reads)
	}
	src.stamps[DpkgStatus], src.files[DpkgStatus] = 2, strings.Replace(dpkg, "2025b", "2025c", 1)
	if rows := lookup("tzdata"); rows.Rows[0].Fields["version"] != "2025c" {
		t.Errorf("after a change:\n%s", dump(rows))
	}
	// In the middle of an installation.
	for name, s := range map[string]string{
		"0000": "Package: tzdata\nStatus: install ok unpacked\nArchitecture: all\nVersion: 2026a\n",
		"0001": "Package: tzdata\nStatus: install ok installed\nArchitecture: all\nVersion: 2026b\n", "0002": "Package: gone\nStatus: purge ok not-installed\n",
		"0003": "Package: new\nStatus: install ok half-configured\nArchitecture: amd64\nVersion: 3\n", "tmp.i": "Package: tzdata\nStatus: install ok installed\nVersion: 0\n",
	} {
		src.files[dpkgUpdates.Join(name)] = s
	}
	src.stamps[dpkgUpdates], src.folders[dpkgUpdates] = 3, []string{"0001", "tmp.i", "0003", "0000", "0002"}
	want = `tzdata: arch="all" hold="no" status="installed" version="2026b"
new: arch="amd64" hold="no" status="half-configured" version="3"
`
	if got := dump(lookup("tzdata", "gone", "new")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// While nobody can tell whether the file changed again, it is read again.
	src.stamps[DpkgStatus] = -1
	for _, v := range []string{"7", "8"} {
		src.files[dpkgUpdates.Join("0004")] = ""
		src.folders[dpkgUpdates] = nil
		src.files[DpkgStatus] = "Package: x\nStatus: install ok installed\nVersion: " + v + "\n"
		if rows := lookup("x"); len(rows.Rows) != 1 || string(rows.Rows[0].Fields["version"]) != v {
			t.Errorf("version %s: \n%s", v, dump(rows))
		}
	}
	_, err := Lookup(t.Context(), &script{}, transport.Lookup{Table: transport.Packages, Keys: transport.Texts("x")})
	if transport.KindOf(err) != transport.Unsupported {
		t.Errorf("without dpkg: %v", err)
	}
}

// TestKept: files are read once for as long as they stay the same, and what was parsed of them cannot be spoilt through an answer.
func TestKept(t *testing.T) {
	src := native{script: &script{files: map[transport.Path]string{"/etc/passwd": passwd, "/etc/group": group, "/etc/shadow": shadow, DpkgStatus: dpkg}},
		stamps: map[transport.Path]int64{}}
	r := NewReader(src)
	ops := []transport.Lookup{{Table: transport.Users, Keys: transport.Texts("web.app", "nosuch")}, {Table: transport.Users}, {Table: transport.Groups},
		{Table: transport.Groups, Keys: transport.Texts("adm")}, {Table: transport.Packages, Keys: transport.Texts("dpkg")}, {Table: transport.Packages}}
	answers := func() (out []string) {
		for _, op := range ops {
			rows, err := r.Lookup(t.Context(), op)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, dump(rows))
			for _, row := range rows.Rows {
				clear(row.Fields)
			}
		}
		return out
	}
	before := answers()
	reads := src.reads
	if again := answers(); !slices.Equal(again, before) {
		t.Errorf("the same question was answered with %q, then with %q", before, again)
	}
	if src.reads != reads {
		t.Errorf("%d more reads of files that did not change", src.reads-reads)
	}
	if len(src.ran) != 0 {
		t.Errorf("ran %q", src.ran)
	}
	src.files["/etc/group"] += "new:x:5000:web.app\n"
	src.stamps["/etc/group"] = 1
	if now := answers(); !strings.Contains(now[0], "adm,new,sudo") || !strings.Contains(now[2], "new: gid") {
		t.Errorf("after a change: %q", now)
	}
}

// TestNameService: only those are asked who may know more than the files.
func TestNameService(t *testing.T) {
	folders := map[transport.Path][]string{"/run/systemd/userdb": {"io.systemd.DynamicUser"}, "/run/systemd/dynamic-uid": {"61184"}}
	for _, tt := range []struct {
		nsswitch string
		key      string
		folders  map[transport.Path][]string
		ask      bool
	}{
		{"", "ldap", nil, false},
		{"passwd: files\n", "ldap", nil, false},
		{"passwd:files # sss\ngroup: sss\n", "ldap", nil, false},
		{"passwd: files [NOTFOUND=return SUCCESS=merge] sss\n", "ldap", nil, true},
		{"passwd: compat\n", "ldap", nil, true},
		{"passwd: sss files\n", "ldap", nil, true},
		{"passwd: sss files\n", "root", nil, false},
		{"passwd: files systemd\n", "ldap", nil, false},
		{"passwd: files systemd\n", "ldap", folders, false},
		{"passwd: files systemd\n", "nobody", folders, true},
		{"passwd: files systemd\n", "065534", folders, true},
		{"passwd: files systemd\n", "ldap", map[transport.Path][]string{"/run/systemd/dynamic-uid": {"61184", "direct:61184"}}, true},
		{"passwd: files systemd\n", "ldap", map[transport.Path][]string{"/run/systemd/userdb": {"io.systemd.DynamicUser", "io.systemd.Home"}}, true},
		{"passwd: files systemd\n", "ldap", map[transport.Path][]string{"/etc/userdb": {"ldap.user"}}, true},
	} {
		src := native{script: &script{files: map[transport.Path]string{"/etc/passwd": passwd, "/etc/group": group}, run: map[string]transport.Output{
			"getent -- passwd": {Stdout: "ldap:*:70000:70001:L:/home/ldap:/bin/bash\n"}, "id": {Code: 1},
		}}, folders: tt.folders}
		if tt.nsswitch != "" {
			src.files["/etc/nsswitch.conf"] = tt.nsswitch
		}
		if _, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Users, Keys: transport.Texts(tt.key)}); err != nil {
			t.Error(err)
		}
		if asked := slices.Contains(src.ran, "getent -- passwd "+tt.key); asked != tt.ask {
			t.Errorf("%q, %s, %v: getent was asked %v", tt.nsswitch, tt.key, tt.folders, asked)
		}
	}
}

func TestUnits(t *testing.T) {
	show := "Id=nginx.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nFragmentPath=/lib/systemd/system/nginx.service\n" +
		"NeedDaemonReload=no\nCanReload=yes\nResult=success\n\nId=mariadb.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=masked\n" +
		"FragmentPath=/a=b\nNeedDaemonReload=yes\nCanReload=no\nResult=exit-code\n\nId=no.timer\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n" +
		"UnitFileState=\nFragmentPath=\nNeedDaemonReload=no\nCanReload=no\n"
	src := &script{run: map[string]transport.Output{"systemctl show": {Stdout: transport.Text(show)}}}
	rows, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Units, Keys: transport.Texts("nginx.service", "mysql.service", "bad", "a*.service", "t@.service", "no.timer")})
	if err != nil {
		t.Fatal(err)
	}
	want := `nginx.service: active="active" enabled="enabled" file="/lib/systemd/system/nginx.service" load="loaded" reload="yes" result="success" stale="no" sub="running"
mysql.service: active="failed" enabled="masked" file="/a=b" load="loaded" reload="no" result="exit-code" stale="yes" sub="failed"
no.timer: active="inactive" enabled="" load="not-found" reload="no" stale="no" sub="dead"
`
	if got := dump(rows); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(src.ran) != 1 || !strings.HasSuffix(src.ran[0], " -- nginx.service mysql.service no.timer") {
		t.Errorf("ran %q", src.ran)
	}
}

func TestUnitsWithoutSystemd(t *testing.T) {
	for name, run := range map[string]map[string]transport.Output{
		"no program":  {},
		"not booted":  {"systemctl": {Code: 1, Stderr: "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down\n"}},
		"in a chroot": {"systemctl": {Code: 0, Stderr: "Running in chroot, ignoring command 'show'\n"}},
	} {
		for _, keys := range [][]transport.Text{nil, {"ssh.service"}, {"no unit"}} {
			_, err := Lookup(t.Context(), &script{run: run}, transport.Lookup{Table: transport.Units, Keys: keys})
			if transport.KindOf(err) != transport.Unsupported {
				t.Errorf("%s, keys %q: %v", name, keys, err)
			}
		}
	}
	src := &script{run: map[string]transport.Output{"systemctl": {Code: 1, Stderr: "Access denied\n"}}}
	if _, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Units, Keys: transport.Texts("a.service")}); transport.KindOf(err) != transport.IO {
		t.Errorf("systemctl failed: %v", err)
	}
}

func TestAllUnits(t *testing.T) {
	block := func(id string) string { return "Id=" + id + "\nLoadState=loaded\n\n" }
	src := &script{run: map[string]transport.Output{
		"systemctl show":                                  {Stdout: transport.Text(block("b.service"))},
		"systemctl list-unit-files":                       {Stdout: "a.timer enabled enabled\nb.service static -\ngetty@.service enabled enabled\n"},
		strings.Join(ShowUnits([]string{"*"}), " "):       {Stdout: transport.Text(block("b.service") + block("-.mount"))},
		strings.Join(ShowUnits([]string{"a.timer"}), " "): {Stdout: transport.Text(block("a.timer"))},
	}}
	rows, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Units})
	if err != nil || len(rows.Rows) != 3 || rows.Rows[0].Key != "-.mount" || rows.Rows[1].Key != "a.timer" || rows.Rows[2].Key != "b.service" {
		t.Errorf("%v\n%s", err, dump(rows))
	}
}

// TestNativeUnits: systemd is asked without a command where that goes, and its answers make the same rows.
func TestNativeUnits(t *testing.T) {
	props := map[string]map[string]string{
		"a.service": {"Id": "b.service", "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled",
			"FragmentPath": "/lib/a", "NeedDaemonReload": "yes", "CanReload": "yes", "Result": "success"},
		"b.target": {"Id": "b.target", "LoadState": "loaded"}, "t@.service": {"Id": "no unit"},
	}
	src := native{script: &script{run: map[string]transport.Output{"systemctl": {Stdout: "Id=c.service\nLoadState=masked\n"}}}, units: props}
	rows, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Units, Keys: transport.Texts("a.service", "t@.service", "b.target")})
	want := `a.service: active="active" enabled="enabled" file="/lib/a" load="loaded" reload="yes" result="success" stale="yes" sub="running"
b.target: active="" enabled="" load="loaded" reload="no" stale="no" sub=""
`
	if got := dump(rows); err != nil || got != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
	if rows, err = Lookup(t.Context(), src, transport.Lookup{Table: transport.Units}); err != nil || len(rows.Rows) != 2 || rows.Rows[0].Key != "b.service" {
		t.Errorf("all: %v\n%s", err, dump(rows))
	}
	if len(src.ran) != 0 {
		t.Errorf("ran %q", src.ran)
	}
	src.mute = true
	for _, keys := range [][]transport.Text{nil, {"c.service"}} {
		if rows, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Units, Keys: keys}); err != nil || len(rows.Rows) != 1 || rows.Rows[0].Key != "c.service" {
			t.Errorf("by systemctl: %v\n%s", err, dump(rows))
		}
	}
	src.mute, src.units, src.ran = false, nil, nil
	for _, keys := range [][]transport.Text{nil, {"c.service"}, {"no unit"}} {
		if _, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Units, Keys: keys}); transport.KindOf(err) != transport.Unsupported || len(src.ran) != 0 {
			t.Errorf("without systemd: %v, ran %q", err, src.ran)
		}
	}
}

func TestMounts(t *testing.T) {
	src := &script{files: map[transport.Path]string{"/proc/self/mountinfo": `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
30 22 0:25 / /mnt/a\040b\134c rw,nosuid - tmpfs none rw,size=10k
31 30 0:26 / /mnt/a\040b\134c ro - tmpfs over rw
bad line
`}}
	rows, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Mounts})
	want := "/: fstype=\"ext4\" options=\"errors=remount-ro,relatime,rw\" source=\"/dev/vda\"\n" +
		"/mnt/a b\\c: fstype=\"tmpfs\" options=\"ro\" source=\"over\"\n"
	if got := dump(rows); err != nil || got != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
	rows, err = Lookup(t.Context(), src, transport.Lookup{Table: transport.Mounts, Keys: transport.Texts("/nosuch", `/mnt/a b\c`)})
	if err != nil || len(rows.Rows) != 1 {
		t.Errorf("by key: %v\n%s", err, dump(rows))
	}
}

func TestSysctls(t *testing.T) {
	src := &script{files: map[transport.Path]string{
		"/proc/sys/kernel/printk":                      "4\t4\t1\t7\n",
		"/proc/sys/net/ipv4/conf/eth0.100/forwarding":  "1\n",
		"/proc/sys/net/ipv4/conf/eth0.100/forwarding2": "2\n",
	}, run: map[string]transport.Output{"sysctl -a": {Code: 255, Stdout: "kernel.b = 1\nkernel.b = 2\nkernel.a =\nkernel.c = x = y\n"}}}
	rows, err := Lookup(t.Context(), src, transport.Lookup{Table: transport.Sysctls,
		Keys: transport.Texts("kernel.printk", "net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding2", "a..b", "../../etc/passwd", "no.such", "")})
	want := "kernel.printk: value=\"4 4 1 7\"\nnet.ipv4.conf.eth0/100.forwarding: value=\"1\"\nnet/ipv4/conf/eth0.100/forwarding2: value=\"2\"\n"
	if got := dump(rows); err != nil || got != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
	rows, err = Lookup(t.Context(), src, transport.Lookup{Table: transport.Sysctls})
	if got := dump(rows); err != nil || got != "kernel.a: value=\"\"\nkernel.b: value=\"1 2\"\nkernel.c: value=\"x = y\"\n" {
		t.Errorf("%v, got\n%s", err, got)
	}
	if _, err := Lookup(t.Context(), &script{}, transport.Lookup{Table: transport.Sysctls}); transport.KindOf(err) != transport.Unsupported {
		t.Errorf("without sysctl: %v", err)
	}
}

func TestUnknownTable(t *testing.T) {
	if _, err := Lookup(t.Context(), &script{}, transport.Lookup{Table: "nosuch"}); transport.KindOf(err) != transport.Unsupported {
		t.Error(err)
	}
}

// FuzzParsers hands any bytes to every parser: they must not panic, and no path may leave /proc/sys.
func FuzzParsers(f *testing.F) {
	for _, s := range []string{passwd, group, shadow, dpkg, "Id=a\n\nId=b\n", `1 2 3:4 / /a\04 rw - x y z`, "a = b\n=", "net.a/b.c", "\\\n::::::\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ParsePasswd(b)
		ParseGroup(b)
		ParseShadow(b)
		ParseDpkgStatus(b)
		ParseSystemctlShow(b)
		ParseMountinfo(b)
		ParseSysctl(b)
		ParseNsswitch(b)
		isUnit(string(b))
		if p, ok := SysctlPath(string(b)); ok {
			if clean, err := transport.NewPath(string(p)); err == nil && clean != p || !p.Under("/proc/sys") {
				t.Errorf("SysctlPath(%q) = %q", b, p)
			}
		}
	})
}

func BenchmarkParseDpkgStatus(b *testing.B) {
	data := []byte(strings.Repeat(dpkg, 200))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		ParseDpkgStatus(data)
	}
}
