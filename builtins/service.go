package builtins

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func serviceNatives() starlark.StringDict {
	return merge(
		native("service.running", serviceRunning),
		native("service.stopped", serviceSet("stopped")),
		native("service.enabled", serviceSet("enabled")),
		native("service.disabled", serviceSet("disabled")),
		native("service.masked", serviceSet("masked")),
		native("service.unmasked", serviceSet("unmasked")),
		native("service.restart", serviceRestart),
		native("service.reload", serviceReload),
	)
}

type serviceArgs struct {
	common
	Name string `arg:"name"`
}

// unit is the full name of a unit: a service where no suffix says otherwise.
func unit(name string) (string, error) {
	for _, s := range []string{".service", ".socket", ".timer", ".path", ".mount", ".automount", ".target", ".slice", ".swap"} {
		if strings.HasSuffix(name, s) && len(name) > len(s) {
			return name, unitChars(name)
		}
	}
	return name + ".service", unitChars(name)
}

func unitChars(name string) error {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`:-_.\@`, r))
	})
	if name == "" || name[0] == '-' || bad >= 0 {
		return fmt.Errorf("name: %q is no name of a unit", name)
	}
	return nil
}

// systemctl is what talks to systemd on behalf of one step.
type systemctl struct {
	unit  string
	sleep func(time.Duration) error
}

func (s systemctl) key() converge.Key { return converge.Key{Table: transport.Units, Name: s.unit} }

// row is what systemd knows of the unit. A unit that does not exist is an error of kind NotFound.
func (s systemctl) row(ctx context.Context, h transport.Host) (map[string]transport.Text, error) {
	f, ok, err := row(ctx, h, transport.Units, s.unit)
	if err != nil {
		return nil, err
	}
	if !ok || f["load"] == "not-found" {
		return nil, &transport.Error{
			Kind: transport.NotFound, Message: fmt.Sprintf("there is no unit %s", s.unit),
			Hint: "a package brings it (pkg.install), or systemd.unit makes it",
		}
	}
	return f, nil
}

func (s systemctl) masked() error {
	return &transport.Error{
		Kind: transport.Refused, Message: fmt.Sprintf("%s is masked, so it cannot be started or enabled", s.unit),
		Hint: fmt.Sprintf("service.unmasked(%q) takes the mask off", s.unit),
	}
}

// do lets systemd read changed unit files, then runs a verb of systemctl. When that fails the error shows the unit's journal.
func (s systemctl) do(ctx context.Context, h transport.Host, f map[string]transport.Text, verb ...string) error {
	if f["stale"] == "yes" {
		if err := daemonReload(ctx, h); err != nil {
			return err
		}
	}
	argv := append(append([]string{"systemctl"}, verb...), s.unit)
	err := change(ctx, h, "", nil, argv...)
	if ce, ok := err.(*converge.CommandError); ok {
		return s.explain(ctx, h, ce)
	}
	return err
}

func daemonReload(ctx context.Context, h transport.Host) error {
	return change(ctx, h, "", nil, "systemctl", "daemon-reload")
}

// explain adds the end of the unit's journal to a failure.
func (s systemctl) explain(ctx context.Context, h transport.Host, ce *converge.CommandError) error {
	if tail := journalTail(ctx, h, s.unit, 12); tail != nil {
		said := strings.TrimRight(string(ce.Output.Stderr), "\n")
		if i := strings.Index(said, "See \"systemctl status"); i >= 0 { // journal and status are shown here
			said = strings.TrimRight(said[:i], "\n")
		}
		ce.Output.Stderr = transport.Text(strings.TrimLeft(said+"\n"+strings.Join(tail, "\n")+"\n", "\n"))
	}
	return ce
}

// startLimit is how long a unit may be on its way up: systemd's own DefaultTimeoutStartSec.
const startLimit = 90 * time.Second

// settled watches a unit that was just started: it must be active, and stay so for a while.
func (s systemctl) settled(ctx context.Context, h transport.Host, settle time.Duration) error {
	const step = 500 * time.Millisecond
	for waited := time.Duration(0); ; waited += step {
		f, err := s.row(ctx, h)
		if err != nil {
			return err
		}
		switch {
		case f["active"] == "active", f["active"] == "activating" && f["sub"] != "auto-restart", f["active"] == "reloading":
		case f["active"] == "inactive" && f["result"] == "success" && strings.HasSuffix(s.unit, ".service"):
			return s.explain(ctx, h, &converge.CommandError{
				Argv: []string{"systemctl", "is-active", s.unit}, Output: transport.Output{Code: 3, Stderr: transport.Text(s.unit + " ended by itself, with success")},
				Hint: "a unit of Type=oneshot stays active with RemainAfterExit=yes; to run it once, use run([\"systemctl\", \"start\", ...])",
			})
		default:
			return s.explain(ctx, h, &converge.CommandError{
				Argv:   []string{"systemctl", "is-active", s.unit},
				Output: transport.Output{Code: 3, Stderr: transport.Text(fmt.Sprintf("%s was started and is %s (%s, result %s)", s.unit, f["active"], f["sub"], f["result"]))},
			})
		}
		if waited >= settle && f["active"] != "activating" {
			return nil
		}
		if waited > settle+startLimit {
			return s.explain(ctx, h, &converge.CommandError{
				Argv:   []string{"systemctl", "is-active", s.unit},
				Output: transport.Output{Code: 3, Stderr: transport.Text(fmt.Sprintf("%s is still starting after %s (%s)", s.unit, waited, f["sub"]))},
			})
		}
		if s.sleep != nil {
			if err := s.sleep(step); err != nil {
				return err
			}
		}
	}
}

func (c *call) systemctl(name string) (systemctl, error) {
	u, err := unit(name)
	if err != nil {
		return systemctl{}, fmt.Errorf("%s: %w", c.name, err)
	}
	return systemctl{unit: u, sleep: c.Sleep}, nil
}

// serviceResource is a unit in a wanted state: want says which columns are to be how, given what they are.
type serviceResource struct {
	systemctl
	want  func(f map[string]transport.Text) (map[string]transport.Text, error)
	apply func(ctx context.Context, h transport.Host, f map[string]transport.Text) error
	gone  bool // a unit that does not exist is in the wanted state
}

func (r *serviceResource) Name() string { return "unit:" + r.unit }

func (r *serviceResource) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	f, err := r.row(ctx, h)
	if r.gone && transport.KindOf(err) == transport.NotFound {
		return nil, nil
	}
	if err != nil && converge.CauseOf(err) == nil {
		return nil, err
	}
	want, err := r.want(f)
	if err != nil {
		return nil, err
	}
	return []converge.Object{{Key: r.key(), Fields: want}}, nil
}

func (r *serviceResource) Apply(ctx context.Context, h transport.Host, delta []converge.Pair) error {
	return r.apply(ctx, h, delta[0].Have.Fields)
}

// serviceSet makes the native of a verb that sets one column of a unit.
func serviceSet(verb string) func(c *call, a serviceArgs) (starlark.Value, error) {
	return func(c *call, a serviceArgs) (starlark.Value, error) {
		s, err := c.systemctl(a.Name)
		if err != nil {
			return nil, err
		}
		r := &serviceResource{systemctl: s, gone: verb == "stopped" || verb == "disabled" || verb == "unmasked"}
		r.want = func(f map[string]transport.Text) (map[string]transport.Text, error) { return unitColumn(s, verb, f) }
		r.apply = func(ctx context.Context, h transport.Host, f map[string]transport.Text) error {
			return s.set(ctx, h, verb, f)
		}
		return c.converge(r)
	}
}

// unitColumn is the column that a verb wants, given what the unit is.
func unitColumn(s systemctl, verb string, f map[string]transport.Text) (map[string]transport.Text, error) {
	state := func(column string, fine ...transport.Text) map[string]transport.Text {
		for _, v := range fine {
			if f[column] == v {
				return map[string]transport.Text{column: v}
			}
		}
		return map[string]transport.Text{column: fine[0]}
	}
	switch verb {
	case "stopped":
		return state("active", "inactive", "failed"), nil
	case "enabled":
		switch {
		case f["load"] == "masked":
			return nil, s.masked()
		case f["enabled"] == "static":
			return nil, &transport.Error{
				Kind: transport.Refused, Message: fmt.Sprintf("%s cannot be enabled: its unit file has no [Install] section", s.unit),
				Hint: "another unit starts it, or a timer or socket of its name is what is to be enabled",
			}
		}
		return state("enabled", "enabled", "alias", "generated"), nil
	case "disabled":
		return state("enabled", "disabled", "static", "indirect", "masked", "transient", ""), nil
	case "masked":
		return map[string]transport.Text{"enabled": "masked"}, nil
	}
	if f["enabled"] != "masked" { // unmasked
		return map[string]transport.Text{}, nil
	}
	return map[string]transport.Text{"load": "loaded"}, nil
}

func (s systemctl) set(ctx context.Context, h transport.Host, verb string, f map[string]transport.Text) error {
	switch verb {
	case "stopped":
		if err := s.do(ctx, h, f, "stop"); err != nil {
			return err
		}
		return nil
	case "enabled":
		return s.do(ctx, h, f, "enable")
	case "disabled":
		return s.do(ctx, h, f, "disable")
	case "masked":
		return s.do(ctx, h, f, "mask")
	}
	return s.do(ctx, h, f, "unmask")
}
