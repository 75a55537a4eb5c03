package fake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// put replaces a file of the system, or makes it, without a word in the Log.
func (f *Fake) put(p transport.Path, content string, mode uint32) {
	dir := f.folder(p.Dir())
	if n := dir.names[p.Base()]; n != nil {
		n.data, n.mtime = []byte(content), f.now()
		return
	}
	dir.names[p.Base()] = &node{typ: transport.Regular, mode: mode, data: []byte(content), mtime: f.now()}
}

// edit replaces the line of a file with colons whose first field is key, or adds it; "" removes it.
func (f *Fake) edit(p transport.Path, key, line string) {
	var out []string
	done := line == ""
	for l := range strings.Lines(string(f.file(p))) {
		l = strings.TrimSuffix(l, "\n")
		if k, _, _ := strings.Cut(l, ":"); k != key {
			out = append(out, l)
		} else if !done {
			out = append(out, line)
			done = true
		}
	}
	if !done {
		out = append(out, line)
	}
	content := strings.Join(out, "\n")
	if content != "" {
		content += "\n"
	}
	f.put(p, content, 0o644)
}

// PutUser adds a user to /etc/passwd and /etc/shadow, or replaces it. password is the shadow field: "!" is locked, "" open.
func (f *Fake) PutUser(u tables.User, password string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edit("/etc/passwd", u.Name, strings.Join([]string{u.Name, "x", u.UID, u.GID, u.Gecos, u.Home, u.Shell}, ":"))
	f.edit("/etc/shadow", u.Name, u.Name+":"+password+":20000:0:99999:7:::")
}

// SetExpiry sets the day on which an account ends (days since 1970, "" never).
func (f *Fake) SetExpiry(name, day string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range tables.ParseShadow(f.file("/etc/shadow")) {
		if s.Name == name {
			f.edit("/etc/shadow", name, name+":"+s.Password+":20000:0:99999:7::"+day+":")
		}
	}
}

// DeleteUser removes a user from the files, and from all groups.
func (f *Fake) DeleteUser(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edit("/etc/passwd", name, "")
	f.edit("/etc/shadow", name, "")
	for _, g := range f.group() {
		if slices.Contains(g.Members, name) {
			g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return m == name })
			f.edit("/etc/group", g.Name, groupLine(g))
		}
	}
}

// PutGroup adds a group to /etc/group, or replaces it.
func (f *Fake) PutGroup(g tables.Group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edit("/etc/group", g.Name, groupLine(g))
}

func groupLine(g tables.Group) string {
	return g.Name + ":x:" + g.GID + ":" + strings.Join(g.Members, ",")
}

// DeleteGroup removes a group.
func (f *Fake) DeleteGroup(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edit("/etc/group", name, "")
}

// User finds a user by name, with the shadow field.
func (f *Fake) User(name string) (u tables.User, password string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range tables.ParseShadow(f.file("/etc/shadow")) {
		if s.Name == name {
			password = s.Password
		}
	}
	for _, u := range f.passwd() {
		if u.Name == name {
			return u, password, true
		}
	}
	return u, "", false
}

// Group finds a group by name.
func (f *Fake) Group(name string) (tables.Group, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	groups := f.group()
	i := slices.IndexFunc(groups, func(g tables.Group) bool { return g.Name == name })
	if i < 0 {
		return tables.Group{}, false
	}
	return groups[i], true
}

// FreeID is the first id from on that no user and no group has.
func (f *Fake) FreeID(from int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := map[string]bool{}
	for _, u := range f.passwd() {
		taken[u.UID] = true
	}
	for _, g := range f.group() {
		taken[g.GID] = true
	}
	for taken[strconv.Itoa(from)] {
		from++
	}
	return from
}

// PutPackage adds a package to dpkg's database, or replaces it. Empty fields get the values of an installed package of this host.
func (f *Fake) PutPackage(p tables.Package) {
	f.mu.Lock()
	defer f.mu.Unlock()
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&p.Version, "1.0-1")
	def(&p.Arch, "amd64")
	def(&p.Want, "install")
	def(&p.Status, "installed")
	f.putPackages(append(f.otherPackages(p.Name, p.Arch), p))
}

// DeletePackage purges a package, of any architecture.
func (f *Fake) DeletePackage(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.putPackages(f.otherPackages(name, ""))
}

// Package finds a package by name.
func (f *Fake) Package(name string) (tables.Package, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range tables.ParseDpkgStatus(f.file(tables.DpkgStatus)) {
		if p.Name == name {
			return p, true
		}
	}
	return tables.Package{}, false
}

func (f *Fake) otherPackages(name, arch string) []tables.Package {
	return slices.DeleteFunc(tables.ParseDpkgStatus(f.file(tables.DpkgStatus)), func(p tables.Package) bool {
		return p.Name == name && (arch == "" || p.Arch == arch)
	})
}

func (f *Fake) putPackages(all []tables.Package) {
	slices.SortFunc(all, func(a, b tables.Package) int { return strings.Compare(a.Name+" "+a.Arch, b.Name+" "+b.Arch) })
	var b strings.Builder
	for _, p := range all {
		fmt.Fprintf(&b, "Package: %s\nStatus: %s ok %s\nArchitecture: %s\nVersion: %s\n\n", p.Name, p.Want, p.Status, p.Arch, p.Version)
	}
	f.put(tables.DpkgStatus, b.String(), 0o644)
}

// install makes the tree of a minimal Debian.
func (f *Fake) install() {
	for _, d := range []transport.Path{
		"/boot", "/dev", "/etc/apt/apt.conf.d", "/etc/apt/keyrings", "/etc/apt/preferences.d", "/etc/apt/sources.list.d", "/etc/apt/trusted.gpg.d",
		"/etc/cron.d", "/etc/default", "/etc/logrotate.d", "/etc/profile.d", "/etc/ssh/sshd_config.d", "/etc/sudoers.d", "/etc/sysctl.d",
		"/etc/systemd/system", "/home", "/media", "/mnt", "/opt", "/proc/sys/kernel", "/root", "/run", "/srv", "/sys", "/tmp", "/usr/bin",
		"/usr/lib/systemd/system", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/usr/share/keyrings", "/var/backups", "/var/cache/apt/archives",
		"/var/lib/apt/lists", "/var/log", "/var/spool", "/var/tmp", "/var/www",
	} {
		f.folder(d)
	}
	f.folder("/tmp").mode, f.folder("/var/tmp").mode, f.folder("/root").mode = 0o1777, 0o1777, 0o700
	for name, target := range map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib"} {
		f.root.names[name] = &node{typ: transport.Symlink, mode: 0o777, target: target, mtime: f.clock}
	}
	f.folder("/var").names["run"] = &node{typ: transport.Symlink, mode: 0o777, target: "/run", mtime: f.clock}
	for _, name := range []string{"null", "zero", "random", "urandom"} {
		f.folder("/dev").names[name] = &node{typ: transport.Special, mode: 0o666, mtime: f.clock}
	}
	f.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"+
		"www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n", 0o644)
	f.put("/etc/group", "root:x:0:\ndaemon:x:1:\nadm:x:4:\nsudo:x:27:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n", 0o644)
	f.put("/etc/shadow", "root:*:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\nwww-data:*:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n", 0o640)
	f.put("/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\n"+
		"VERSION_CODENAME=bookworm\nID=debian\n", 0o644)
	f.put("/etc/debian_version", "12.12\n", 0o644)
	f.put("/etc/hostname", f.opts.Hostname+"\n", 0o644)
	f.put("/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\t"+f.opts.Hostname+"\n", 0o644)
	f.put("/etc/machine-id", "00000000000000000000000000000fab\n", 0o444)
	f.put("/etc/fstab", "", 0o644)
	f.put("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n", 0o644)
	f.put("/etc/sudoers", "@includedir /etc/sudoers.d\n", 0o440)
	f.put("/usr/bin/bash", "", 0o755)

	proc := f.folder("/proc")
	proc.mount = &mount{fstype: "proc"}
	f.put("/proc/version", "Linux version 6.1.0-fake\n", 0o444)
	f.put("/proc/cpuinfo", "processor\t: 0\n\nprocessor\t: 1\n\n", 0o444)
	f.put("/proc/meminfo", "MemTotal:        2097152 kB\nMemFree:         1048576 kB\nMemAvailable:    1572864 kB\n", 0o444)
	f.put("/proc/uptime", "1000.00 1900.00\n", 0o444)
	f.put("/proc/sys/kernel/ostype", "Linux\n", 0o444)
	f.put("/proc/sys/kernel/osrelease", "6.1.0-fake\n", 0o444)
	f.put("/proc/sys/kernel/hostname", f.opts.Hostname+"\n", 0o644)
	f.put("/proc/sys/vm/swappiness", "60\n", 0o644)
	f.put("/proc/sys/net/ipv4/ip_forward", "0\n", 0o644)
	f.folder("/proc/self").names["mountinfo"] = &node{typ: transport.Regular, mode: 0o444, mtime: f.clock, made: func() []byte { return f.mountinfo() }}

	if !f.opts.NoDpkg {
		f.putPackages(nil) // dpkg is there, whatever it knows
		for _, p := range []tables.Package{{Name: "apt", Version: "2.6.1"}, {Name: "base-files", Version: "12.4+deb12u12"}, {Name: "bash", Version: "5.2.15-2+b9"},
			{Name: "dpkg", Version: "1.21.22"}, {Name: "libc6", Version: "2.36-9+deb12u13"}, {Name: "tzdata", Version: "2025b-0+deb12u2", Arch: "all"}} {
			f.PutPackage(p)
		}
	}
	if !f.opts.NoSystemd {
		f.folder("/run/systemd/system")
		for name, u := range map[string]Unit{
			"basic.target": {Active: "active", Sub: "active", Enabled: "static"}, "-.mount": {Active: "active", Sub: "mounted", Enabled: "generated"},
			"multi-user.target": {Active: "active", Sub: "active", Enabled: "static"},
			"ssh.service":       {Active: "active", Sub: "running", Enabled: "enabled", CanReload: true},
			"cron.service":      {Active: "active", Sub: "running", Enabled: "enabled"},
		} {
			f.put(transport.Path("/usr/lib/systemd/system").Join(name), "[Unit]\nDescription="+name+"\n", 0o644)
			f.PutUnit(name, u)
		}
	}
}

// mountinfo is the text of /proc/self/mountinfo.
func (f *Fake) mountinfo() []byte {
	var b strings.Builder
	b.WriteString("1 0 8:1 / / rw,relatime - ext4 /dev/vda1 rw\n")
	escape := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)
	var walk func(p transport.Path, n *node)
	walk = func(p transport.Path, n *node) {
		if n.mount != nil {
			opts := "rw"
			if n.mount.readOnly {
				opts = "ro"
			}
			fmt.Fprintf(&b, "2 1 0:2 / %s %s,relatime - %s none %s\n", escape.Replace(string(p)), opts, n.mount.fstype, opts)
		}
		for name, c := range n.names {
			walk(p.Join(name), c)
		}
	}
	walk("/", f.root)
	return []byte(b.String())
}
