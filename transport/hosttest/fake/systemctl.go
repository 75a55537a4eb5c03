package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fabgo/transport"
)

// Unit is the state of a unit of systemd, in systemd's own words. Empty fields mean a loaded, inactive unit.
type Unit struct {
	Load, Active, Sub, Enabled, Result string
	File                               transport.Path
	CanReload                          bool
	Fails                              bool // its next start fails
	Starts, Reloads                    int  // how often it was started (restarts too) and reloaded
}

type unitState struct {
	Unit
	read transport.Digest // of the unit file, when systemd read it
}

// PutUnit makes a unit known to systemd, as it stands on the disk now.
func (f *Fake) PutUnit(name string, u Unit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u.File == "" {
		u.File = f.unitFile(name)
	}
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&u.Load, "loaded")
	def(&u.Active, "inactive")
	def(&u.Sub, "dead")
	def(&u.Result, "success")
	f.units[name] = &unitState{u, f.unitDigest(u.File)}
}

// DeleteUnit makes systemd forget a unit. Its file stays.
func (f *Fake) DeleteUnit(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.units, name)
}

// Unit is the state of a unit, and whether systemd knows it: a unit that has a file is read from there.
func (f *Fake) Unit(name string) (Unit, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.peek(name)
	if u == nil {
		return Unit{}, false
	}
	return u.Unit, true
}

var unitFolders = []transport.Path{"/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"}

func (f *Fake) unitFile(name string) transport.Path {
	for _, d := range unitFolders {
		if at, err := f.resolve("read", d.Join(name), false); err == nil && at.node != nil {
			return d.Join(name)
		}
	}
	return ""
}

func (f *Fake) unitDigest(p transport.Path) transport.Digest {
	if p == "" {
		return ""
	}
	return transport.DigestOf(f.file(p))
}

// masked reports whether the unit's file is a symlink to /dev/null.
func (f *Fake) masked(p transport.Path) bool {
	if p == "" {
		return false
	}
	at, err := f.resolve("read", p, false)
	return err == nil && at.node != nil && at.node.typ == transport.Symlink && at.node.target == "/dev/null"
}

// peek is a unit that systemd knows or can read. One that it only read is forgotten again, so that looking leaves no trace.
func (f *Fake) peek(name string) *unitState {
	if u := f.units[name]; u != nil {
		return u
	}
	file := f.unitFile(name)
	if file == "" {
		return nil
	}
	u := &unitState{Unit{Load: "loaded", Active: "inactive", Sub: "dead", Result: "success", File: file}, f.unitDigest(file)}
	u.describe(f)
	return u
}

// describe sets what a unit's file says of it.
func (u *unitState) describe(f *Fake) {
	text := string(f.file(u.File))
	u.CanReload = strings.Contains(text, "\nExecReload=")
	switch {
	case f.masked(u.File):
		u.Load, u.Enabled = "masked", "masked"
	case !strings.Contains(text, "[Install]"):
		u.Load, u.Enabled = "loaded", "static"
	case u.Enabled != "enabled":
		u.Load, u.Enabled = "loaded", "disabled"
	}
}

// observeUnits is what `systemctl show` and `systemctl list-unit-files` say, for Lookup.
func (f *Fake) observeUnits(args []string) transport.Output {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opts.NoSystemd {
		return transport.Output{Code: 1, Stderr: "System has not been booted with systemd as init system (PID 1). Can't operate.\n"}
	}
	var b strings.Builder
	if args[0] == "list-unit-files" {
		for _, d := range unitFolders {
			if at, err := f.resolve("list", d, true); err == nil && at.node != nil {
				for _, name := range slices.Sorted(maps.Keys(at.node.names)) {
					fmt.Fprintf(&b, "%s - -\n", name)
				}
			}
		}
		return transport.Output{Stdout: transport.Text(b.String())}
	}
	names := args[slices.Index(args, "--")+1:]
	if slices.Equal(names, []string{"*"}) {
		names = slices.Sorted(maps.Keys(f.units))
	}
	for _, name := range names {
		u := f.peek(name)
		if u == nil {
			fmt.Fprintf(&b, "Id=%s\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\nFragmentPath=\nNeedDaemonReload=no\nCanReload=no\n\n", name)
			continue
		}
		file := f.unitFile(name)
		stale := file != u.File || f.unitDigest(u.File) != u.read
		fmt.Fprintf(&b, "Id=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\nUnitFileState=%s\nFragmentPath=%s\nNeedDaemonReload=%s\nCanReload=%s\n",
			name, u.Load, u.Active, u.Sub, u.Enabled, u.File, yesNo(stale), yesNo(u.CanReload))
		if strings.HasSuffix(name, ".service") {
			fmt.Fprintf(&b, "Result=%s\n", u.Result)
		}
		b.WriteString("\n")
	}
	return transport.Output{Stdout: transport.Text(b.String())}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// systemctl is the command, for the verbs below. Options are ignored, but for --now.
func systemctl(_ context.Context, f *Fake, op transport.Exec) (transport.Output, error) {
	var args []string
	now := false
	for _, a := range words(op) {
		now = now || a == "--now"
		if !strings.HasPrefix(a, "--") {
			args = append(args, a)
		}
	}
	if len(args) == 0 {
		return complain(1, "systemctl: the fake host needs a verb")
	}
	if args[0] == "show" || args[0] == "list-unit-files" {
		return f.observeUnits(words(op)), nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opts.NoSystemd {
		return complain(1, "System has not been booted with systemd as init system (PID 1). Can't operate.")
	}
	if args[0] == "daemon-reload" {
		f.reloadUnits()
		return transport.Output{}, nil
	}
	var out transport.Output
	for _, name := range args[1:] {
		if !strings.Contains(name, ".") {
			name += ".service"
		}
		u := f.peek(name)
		if u == nil {
			return complain(5, "Unit %s not found.", name)
		}
		if !strings.HasPrefix(args[0], "is-") {
			f.units[name] = u
		}
		verbs := []string{args[0]}
		if now {
			verbs = append(verbs, map[string]string{"enable": "start", "disable": "stop", "mask": "stop"}[args[0]])
		}
		for _, verb := range verbs {
			say, code := f.act(verb, name, u)
			out.Stdout += transport.Text(say)
			if code != 0 {
				out.Code = code
				if verb != "is-active" && verb != "is-enabled" {
					out.Stdout, out.Stderr = "", transport.Text(say)
					return out, nil
				}
			}
		}
	}
	return out, nil
}

func (f *Fake) reloadUnits() {
	for name, u := range f.units {
		file := f.unitFile(name)
		if file == "" {
			if u.File != "" && u.Active != "active" {
				delete(f.units, name)
			} else if u.File != "" {
				u.Load, u.File, u.Enabled = "not-found", "", ""
			}
			continue
		}
		if file != u.File || f.unitDigest(file) != u.read {
			u.File, u.read = file, f.unitDigest(file)
			u.describe(f)
		}
	}
}

// act does one verb to a unit. What it says goes to stdout, or to stderr where the code is not 0.
func (f *Fake) act(verb, name string, u *unitState) (say string, code int) {
	running := "running"
	if !strings.HasSuffix(name, ".service") {
		running = "active"
	}
	switch verb {
	case "start", "restart", "try-restart", "reload-or-restart":
		if u.Load == "masked" {
			return fmt.Sprintf("Failed to %s %s: Unit %s is masked.\n", verb, name, name), 1
		}
		if verb == "try-restart" && u.Active != "active" || verb == "start" && u.Active == "active" {
			return "", 0
		}
		if verb == "reload-or-restart" && u.CanReload && u.Active == "active" {
			u.Reloads++
			return "", 0
		}
		u.Starts++
		if u.Fails {
			u.Active, u.Sub, u.Result = "failed", "failed", "exit-code"
			return fmt.Sprintf("Job for %s failed because the control process exited with error code.\n", name), 1
		}
		u.Active, u.Sub, u.Result = "active", running, "success"
	case "stop":
		u.Active, u.Sub = "inactive", "dead"
	case "reload":
		if u.Active != "active" || !u.CanReload {
			return fmt.Sprintf("Failed to reload %s: Job type reload is not applicable for unit %s.\n", name, name), 1
		}
		u.Reloads++
	case "enable", "disable":
		if u.Load == "masked" {
			return fmt.Sprintf("Failed to %s unit: Unit file %s is masked.\n", verb, name), 1
		}
		if u.Enabled != "static" {
			u.Enabled = verb + "d"
		}
	case "mask":
		f.folder("/etc/systemd/system").names[name] = &node{typ: transport.Symlink, mode: 0o777, target: "/dev/null", mtime: f.now()}
		u.File = transport.Path("/etc/systemd/system").Join(name)
		u.read = f.unitDigest(u.File)
		u.describe(f)
	case "unmask":
		if f.masked(u.File) {
			delete(f.folder(u.File.Dir()).names, name)
			u.Enabled = ""
			f.reloadUnits()
		}
	case "reset-failed":
		if u.Active == "failed" {
			u.Active, u.Sub, u.Result = "inactive", "dead", "success"
		}
	case "is-active":
		return u.Active + "\n", map[bool]int{false: 3}[u.Active == "active"]
	case "is-enabled":
		return u.Enabled + "\n", map[bool]int{false: 1}[slices.Contains([]string{"enabled", "static", "generated"}, u.Enabled)]
	default:
		return fmt.Sprintf("Unknown command verb %s.\n", verb), 1
	}
	return "", 0
}
