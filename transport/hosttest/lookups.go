package hosttest

import (
	"slices"
	"strings"

	"fabgo/transport"
)

func (r *run) rows(t transport.Table, keys ...string) []transport.Row {
	r.Helper()
	return do[transport.Rows](r, transport.Lookup{Table: t, Keys: transport.Texts(keys...)}).Rows
}

// columns checks that a row has no column but these.
func (r *run) columns(row transport.Row, known ...string) {
	r.Helper()
	for k := range row.Fields {
		if !slices.Contains(known, k) {
			r.Errorf("row %q has the unknown column %q", row.Key, k)
		}
	}
}

// sorted checks the order of a whole table and that it holds key.
func (r *run) sorted(t transport.Table, key transport.Text) {
	r.Helper()
	rows := r.rows(t)
	if !slices.IsSortedFunc(rows, func(a, b transport.Row) int { return strings.Compare(string(a.Key), string(b.Key)) }) {
		r.Errorf("all rows of %s are not sorted", t)
	}
	if !slices.ContainsFunc(rows, func(row transport.Row) bool { return row.Key == key }) {
		r.Errorf("all rows of %s lack %q", t, key)
	}
}

var lookupTests = []test{
	{"users", func(r *run) {
		rows := r.rows(transport.Users, "no-such-user", "root", "0", "-x", "a:b", "")
		if len(rows) != 2 || rows[0].Key != "root" || rows[1].Key != "root" {
			r.Fatalf("%+v", rows)
		}
		root := rows[0]
		r.columns(root, "uid", "gid", "group", "gecos", "home", "shell", "groups", "locked", "password", "expires")
		if f := root.Fields; f["uid"] != "0" || f["gid"] != "0" || f["group"] != "root" || f["home"] == "" || f["shell"] == "" {
			r.Errorf("%+v", root)
		}
		if p, ok := root.Fields["password"]; ok != r.AsRoot || p != "" && !strings.HasPrefix(string(p), "sha256:") {
			r.Errorf("password %q, there %v", p, ok)
		}
		r.sorted(transport.Users, "root")
	}},
	{"groups", func(r *run) {
		rows := r.rows(transport.Groups, "no-such-group", "0", "root")
		if len(rows) != 2 || rows[0].Key != "root" || rows[1].Fields["gid"] != "0" {
			r.Fatalf("%+v", rows)
		}
		r.columns(rows[0], "gid", "members")
		r.sorted(transport.Groups, "root")
	}},
	{"mounts", func(r *run) {
		rows := r.rows(transport.Mounts, "/no/such/mount", "/proc")
		if len(rows) != 1 || rows[0].Key != "/proc" || rows[0].Fields["fstype"] != "proc" {
			r.Fatalf("%+v", rows)
		}
		r.columns(rows[0], "source", "fstype", "options")
		if !slices.Contains(strings.Split(string(rows[0].Fields["options"]), ","), "rw") {
			r.Errorf("%+v", rows[0])
		}
		r.sorted(transport.Mounts, "/proc")
	}},
	{"kernel settings", func(r *run) {
		rows := r.rows(transport.Sysctls, "no.such.setting", "kernel.ostype", "kernel", "../etc/passwd")
		if len(rows) != 1 || rows[0].Key != "kernel.ostype" || rows[0].Fields["value"] != "Linux" {
			r.Fatalf("%+v", rows)
		}
		r.columns(rows[0], "value")
	}},
	{"packages", func(r *run) {
		if r.stat("/var/lib/dpkg/status").Type != transport.Regular {
			r.refused(transport.Lookup{Table: transport.Packages, Keys: transport.Texts("dpkg")}, transport.Unsupported)
			return
		}
		rows := r.rows(transport.Packages, "no-such-package", "dpkg", "-x", "base-files")
		if len(rows) != 2 || rows[0].Key != "dpkg" || rows[1].Key != "base-files" {
			r.Fatalf("%+v", rows)
		}
		r.columns(rows[0], "version", "arch", "status", "hold")
		f := rows[0].Fields
		if f["status"] != "installed" || f["version"] == "" || f["arch"] == "" || f["hold"] == "" {
			r.Errorf("%+v", rows[0])
		}
		if again := r.rows(transport.Packages, "dpkg:"+string(f["arch"])); len(again) != 1 || again[0].Fields["version"] != f["version"] {
			r.Errorf("%+v", again)
		}
		r.sorted(transport.Packages, "dpkg")
	}},
	{"units", func(r *run) {
		if r.stat("/run/systemd/system").Type != transport.Dir {
			r.refused(transport.Lookup{Table: transport.Units, Keys: transport.Texts("ssh.service")}, transport.Unsupported)
			r.refused(transport.Lookup{Table: transport.Units}, transport.Unsupported)
			return
		}
		rows := r.rows(transport.Units, "no-such-unit.service", "basic.target", "not a unit", "a*.service", "-.mount")
		if len(rows) != 3 || rows[0].Key != "no-such-unit.service" || rows[1].Key != "basic.target" || rows[2].Key != "-.mount" {
			r.Fatalf("%+v", rows)
		}
		r.columns(rows[1], "load", "active", "sub", "enabled", "file", "stale", "reload", "result")
		if f := rows[0].Fields; f["load"] != "not-found" || f["active"] != "inactive" || f["enabled"] != "" {
			r.Errorf("%+v", rows[0])
		}
		if f := rows[1].Fields; f["load"] != "loaded" || f["active"] == "" || f["sub"] == "" || f["stale"] != "no" || f["reload"] != "no" {
			r.Errorf("%+v", rows[1])
		}
		r.sorted(transport.Units, "basic.target")
	}},
	{"unknown table", func(r *run) { r.refused(transport.Lookup{Table: "no such table"}, transport.Unsupported) }},
}
