package builtins

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// aptArgs are the arguments of everything that changes packages.
type aptArgs struct {
	common
	LockTimeout time.Duration `arg:"lock_timeout"`
	Conffiles   string        `arg:"conffiles"`
	Recommends  *bool         `arg:"recommends"`
	Release     string        `arg:"release"`
	Downgrade   bool          `arg:"downgrade"`
}

// apt is what talks to apt and dpkg on behalf of one step.
type apt struct {
	*call
	args aptArgs
}

// newApt checks the arguments that all share.
func (c *call) newApt(a aptArgs) (*apt, error) {
	switch a.Conffiles {
	case "", "keep", "replace":
	default:
		return nil, fmt.Errorf("%s: conffiles: got %q, want \"keep\" (what is on the host) or \"replace\" (by what the package brings)", c.name, a.Conffiles)
	}
	if a.Release != "" {
		if err := aptWord("release", a.Release); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return &apt{call: c, args: a}, nil
}

// aptWord refuses what would be more than one word in apt's files, or an option on its command line.
func aptWord(what, s string) error {
	if s == "" || s[0] == '-' || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%s: %q is not one word", what, s)
	}
	return nil
}

// env keeps every program that a package may start from asking questions.
func (a *apt) env() map[string]transport.Text {
	e := map[string]transport.Text{
		"DEBIAN_FRONTEND": "noninteractive", "DEBIAN_PRIORITY": "critical", "DEBCONF_NONINTERACTIVE_SEEN": "true",
		"APT_LISTCHANGES_FRONTEND": "none", "APT_LISTBUGS_FRONTEND": "none", "NEEDRESTART_MODE": "l", "NEEDRESTART_SUSPEND": "1",
		"UCF_FORCE_CONFFOLD": "1",
	}
	if a.args.Conffiles == "replace" {
		delete(e, "UCF_FORCE_CONFFOLD")
		e["UCF_FORCE_CONFFNEW"] = "1"
	}
	return e
}

// dpkgForce is what dpkg does with a file of configuration that both the host and the new package changed.
func (a *apt) dpkgForce() []string {
	if a.args.Conffiles == "replace" {
		return []string{"--force-confnew"}
	}
	return []string{"--force-confdef", "--force-confold"}
}

// options stand on the command line of every apt-get, those of simulations too, so that a simulation decides as the real one will.
func (a *apt) options() []string {
	o := []string{"-q", "-y", "-o", "APT::Get::Show-User-Simulation-Note=0", "-o", "Dpkg::Use-Pty=0", "-o", "Acquire::Retries=3"}
	for _, f := range a.dpkgForce() {
		o = append(o, "-o", "Dpkg::Options::="+f)
	}
	if r := a.args.Recommends; r != nil {
		o = append(o, "-o", "APT::Install-Recommends="+strconv.FormatBool(*r))
	}
	if a.args.Release != "" {
		o = append(o, "-t", a.args.Release)
	}
	if a.args.Downgrade {
		o = append(o, "--allow-downgrades")
	}
	return o
}

// lockStep is how long to wait between two looks at a lock that another program holds.
const lockStep = 2 * time.Second

// change runs an apt-get that changes the host: it waits for other package managers, says whom it waits for, and repairs a dpkg that
// was interrupted. Its error shows what apt complained about and, where a service failed, the end of that service's journal.
func (a *apt) change(ctx context.Context, h transport.Host, words ...string) (transport.Output, error) {
	waited, noted, repaired := time.Duration(0), "", false
	for {
		held, err := aptLock(ctx, h)
		if err != nil {
			return transport.Output{}, err
		}
		if held.pid == "" {
			left := max(a.args.LockTimeout-waited, 0)
			argv := append([]string{"apt-get"}, a.options()...)
			argv = append(argv, "-o", "DPkg::Lock::Timeout="+strconv.Itoa(int(left/time.Second)))
			argv = append(argv, words...)
			out, err := a.exec(ctx, h, argv)
			if err != nil {
				return out, err
			}
			said := string(out.Stderr)
			switch {
			case out.Code == 0:
				return out, a.denied(out)
			case strings.Contains(said, "dpkg was interrupted") && !repaired:
				repaired = true
				if err := a.repair(ctx, h); err != nil {
					return out, err
				}
				continue
			case !aptLocked(said):
				return out, a.explain(ctx, h, append([]string{"apt-get"}, words...), out)
			case strings.Contains(said, "/var/lib/dpkg/lock"): // apt has waited for this one itself
				waited = a.args.LockTimeout
			}
			if held, err = aptLock(ctx, h); err != nil {
				return out, err
			}
			if held.pid == "" {
				held = aptLockIn(said)
			}
		}
		if waited >= a.args.LockTimeout {
			return transport.Output{}, &transport.Error{
				Kind: transport.Timeout, Message: fmt.Sprintf("apt-get %s: %s; waited %v for it to end", words[0], held, a.args.LockTimeout),
				Hint: "let that program end, or wait longer: lock_timeout = \"30m\"",
			}
		}
		if s := held.String(); s != noted {
			noted = s
			if err := a.Session.Note(fmt.Sprintf("%s: %s; waiting for it to end", a.name, s), a.step.Pos); err != nil {
				return transport.Output{}, err
			}
		}
		if err := a.wait(lockStep); err != nil {
			return transport.Output{}, err
		}
		waited += lockStep
	}
}

func (a *apt) wait(d time.Duration) error {
	if a.Sleep == nil {
		return nil
	}
	return a.Sleep(d)
}

func (a *apt) exec(ctx context.Context, h transport.Host, argv []string) (transport.Output, error) {
	return transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(argv...), Env: a.env(), Change: true})
}

// repair finishes what an interrupted dpkg left half done, which apt refuses to do by itself.
func (a *apt) repair(ctx context.Context, h transport.Host) error {
	if err := a.Session.Note(a.name+": dpkg was interrupted earlier; running dpkg --configure -a first", a.step.Pos); err != nil {
		return err
	}
	argv := append(append([]string{"dpkg"}, a.dpkgForce()...), "--configure", "-a")
	out, err := a.exec(ctx, h, argv)
	if err != nil {
		return err
	}
	if out.Code != 0 {
		return a.explain(ctx, h, argv, out)
	}
	return nil
}

// denied notes the services that a package wanted to start and the host's policy-rc.d kept from it.
func (a *apt) denied(out transport.Output) error {
	var units []string
	for line := range strings.Lines(string(out.Stdout) + "\n" + string(out.Stderr)) {
		if _, rest, ok := strings.Cut(line, "policy-rc.d denied execution of "); ok {
			units = append(units, strings.TrimRight(strings.TrimSpace(rest), "."))
		}
	}
	if len(units) == 0 {
		return nil
	}
	slices.Sort(units)
	return a.Session.Note(fmt.Sprintf("%s: /usr/sbin/policy-rc.d on this host forbids packages to: %s", a.name, strings.Join(slices.Compact(units), ", ")), a.step.Pos)
}

// look runs a command that only observes, with apt's environment, and answers for any exit code also in a plan, where the overlay
// takes a failing command for an answer that predicted changes spoil.
func (a *apt) look(ctx context.Context, h transport.Host, argv ...string) (transport.Output, error) {
	sh := append([]string{"/bin/sh", "-c", `"$@"; echo "exit $?"`, "sh"}, argv...)
	env := a.env()
	maps.DeleteFunc(env, func(k string, _ transport.Text) bool { return strings.HasPrefix(k, "UCF") })
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(sh...), Env: env, Limit: 8 << 20})
	if err != nil {
		return out, err
	}
	text := strings.TrimSuffix(string(out.Stdout), "\n")
	i := strings.LastIndexByte(text, '\n') + 1
	code, err := strconv.Atoi(strings.TrimPrefix(text[i:], "exit "))
	if err != nil {
		return out, &transport.Error{Kind: transport.Protocol, Message: fmt.Sprintf("%s: it ended without a word on how", strings.Join(argv, " ")), Stderr: out.Stderr}
	}
	if code == 127 {
		return out, &transport.Error{Kind: transport.Unsupported, Message: fmt.Sprintf("%s: the host has no program %s", a.name, argv[0]), Stderr: out.Stderr}
	}
	out.Stdout, out.Code = transport.Text(text[:i]), code
	return out, nil
}

// aptFailed is the error of a command of apt's that look answered for.
func aptFailed(argv []string, out transport.Output) error {
	said := string(out.Stdout) + "\n" + string(out.Stderr)
	out.Stderr = transport.Text(strings.Join(aptComplaints(said), "\n"))
	return &converge.CommandError{Argv: argv, Output: out, Hint: aptHint(said)}
}
