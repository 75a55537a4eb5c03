package builtins

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

type timerArgs struct {
	common
	Name        string            `arg:"name"`
	Command     command           `arg:"command"`
	Calendar    *string           `arg:"calendar"`
	Every       time.Duration     `arg:"every"`
	OnBoot      time.Duration     `arg:"on_boot"`
	User        owner             `arg:"user"`
	Group       owner             `arg:"group"`
	Cwd         transport.Path    `arg:"cwd"`
	Env         map[string]string `arg:"env"`
	Description *string           `arg:"description"`
	Persistent  bool              `arg:"persistent"`
	RandomDelay time.Duration     `arg:"random_delay"`
	Accuracy    time.Duration     `arg:"accuracy"`
	Timeout     time.Duration     `arg:"timeout"`
}

var variableName = whenUsed(`^[A-Za-z_][A-Za-z0-9_]*$`)

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (a timerArgs) check() error {
	if err := unitChars(a.Name); err != nil {
		return err
	}
	if strings.HasSuffix(a.Name, ".timer") || strings.HasSuffix(a.Name, ".service") {
		return fmt.Errorf("name: %q: leave the suffix out, there will be a .timer and a .service", a.Name)
	}
	if a.Calendar == nil && a.Every == 0 && a.OnBoot == 0 {
		return fmt.Errorf("say when: calendar, every or on_boot")
	}
	if a.Calendar != nil && a.Every != 0 {
		return fmt.Errorf("give calendar or every, one of them")
	}
	if !a.Command.shell && !strings.HasPrefix(a.Command.argv[0], "/") {
		return fmt.Errorf("command: systemd wants the program as an absolute path, not %q", a.Command.argv[0])
	}
	for what, text := range map[string]string{"calendar": deref(a.Calendar), "description": deref(a.Description), "cwd": string(a.Cwd)} {
		if strings.ContainsAny(text, "\n\r") {
			return fmt.Errorf("%s: %q holds a line break, which a unit file cannot", what, text)
		}
	}
	for what, name := range map[string]owner{"user": a.User, "group": a.Group} {
		if strings.ContainsAny(string(name), " \t%") {
			return fmt.Errorf("%s: %q is no name that systemd takes", what, name)
		}
	}
	for k := range a.Env {
		if !variableName().MatchString(k) {
			return fmt.Errorf("env: %q is no name of a variable that systemd takes", k)
		}
	}
	return checkEnv(a.Env)
}

func systemdTimer(c *call, a timerArgs) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("systemd.timer: %w", err)
	}
	r := &timerUnits{unitFiles: unitFiles{
		systemctl: systemctl{unit: a.Name + ".timer", sleep: c.Sleep},
		files: []converge.Object{
			unitFile(a.Name+".service", transport.String(a.service()), ""),
			unitFile(a.Name+".timer", transport.String(a.timer()), ""),
		},
		after: map[string]transport.Text{"active": "active", "enabled": "enabled"},
	}, calendar: a.Calendar}
	return c.converge(r)
}

// timerUnits checks the calendar before anything is touched.
type timerUnits struct {
	unitFiles
	calendar *string
}

func (r *timerUnits) Want(ctx context.Context, h transport.Host) ([]converge.Object, error) {
	want, err := r.unitFiles.Want(ctx, h)
	if err != nil || r.calendar == nil {
		return want, err
	}
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts("systemd-analyze", "calendar", *r.calendar)})
	if u := converge.CauseOf(err); u == nil && (err != nil || out.Code != 0) && transport.KindOf(err) != transport.NotFound {
		return nil, &transport.Error{
			Kind: transport.Refused, Message: fmt.Sprintf("calendar: systemd does not understand %q", *r.calendar), Stderr: out.Stderr, Err: err,
			Hint: "such as \"daily\", \"Mon..Fri 02:30\" or \"*:0/15\": systemd.time(7)",
		}
	}
	return want, nil
}

func (a timerArgs) describe() string {
	if a.Description != nil {
		return *a.Description
	}
	return strings.ReplaceAll(strings.Join(strings.Fields(a.Command.text), " "), "%", "%%")
}

func (a timerArgs) service() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=%s\n\n[Service]\nType=oneshot\n", a.describe())
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s=%s\n", key, value)
		}
	}
	line("User", string(a.User))
	line("Group", string(a.Group))
	if a.Cwd != "" {
		line("WorkingDirectory", strings.ReplaceAll(string(a.Cwd), "%", "%%"))
	}
	for _, k := range slices.Sorted(maps.Keys(a.Env)) {
		line("Environment", unitQuote(k+"="+a.Env[k], false))
	}
	if a.Timeout > 0 {
		line("TimeoutStartSec", span(a.Timeout))
	}
	words := make([]string, len(a.Command.argv))
	for i, w := range a.Command.argv {
		words[i] = unitQuote(w, true)
	}
	line("ExecStart", strings.Join(words, " "))
	return b.String()
}

func (a timerArgs) timer() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=%s\n\n[Timer]\n", a.describe())
	if a.Calendar != nil {
		fmt.Fprintf(&b, "OnCalendar=%s\n", *a.Calendar)
		if a.Persistent {
			b.WriteString("Persistent=true\n")
		}
	}
	boot := a.OnBoot
	if a.Every > 0 {
		fmt.Fprintf(&b, "OnUnitActiveSec=%s\n", span(a.Every))
		if boot == 0 {
			fmt.Fprintf(&b, "OnActiveSec=%s\n", span(a.Every)) // the first run, also after boot
		}
	}
	if boot > 0 {
		fmt.Fprintf(&b, "OnBootSec=%s\n", span(boot))
	}
	if a.RandomDelay > 0 {
		fmt.Fprintf(&b, "RandomizedDelaySec=%s\n", span(a.RandomDelay))
	}
	if a.Accuracy > 0 {
		fmt.Fprintf(&b, "AccuracySec=%s\n", span(a.Accuracy))
	}
	b.WriteString("\n[Install]\nWantedBy=timers.target\n")
	return b.String()
}

// span is a duration in the words of systemd.time(7).
func span(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

// unitQuote writes a word so that systemd takes it literally (systemd.syntax(7), systemd.service(5)): specifiers (%) always, variables ($)
// in commands.
func unitQuote(s string, command bool) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '%':
			b.WriteString("%%")
		case c == '$' && command:
			b.WriteString("$$")
		case c == '\n':
			b.WriteString(`\n`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
