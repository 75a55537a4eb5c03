package builtins

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func cronNatives() starlark.StringDict {
	return merge(native("cron.job", cronJob), native("cron.absent", cronAbsent), native("cron.variable", cronVariable))
}

const cronFolder transport.Path = "/etc/cron.d"

// cronFileName is what cron takes for a file of /etc/cron.d; it passes over others without a word.
var cronFileName = whenUsed(`^[A-Za-z0-9_-]+$`)

// cronPlace says which table a job stands in: a file of /etc/cron.d, or the crontab of a user.
type cronPlace struct {
	Name string  `arg:"name"`
	User owner   `arg:"user"`
	File *string `arg:"file"`
}

func (a *cronPlace) check() error {
	if a.User == "" {
		a.User = "root"
	}
	if strings.TrimSpace(a.Name) != a.Name || a.Name == "" {
		return fmt.Errorf("name: %q: a job is found again by its name, which may not be empty or have blanks at its ends", a.Name)
	}
	if err := oneLine("name", a.Name); err != nil {
		return err
	}
	if err := accountName("user", string(a.User)); err != nil {
		return err
	}
	if a.File != nil && !cronFileName().MatchString(*a.File) {
		return fmt.Errorf("file: %q: cron reads only files of /etc/cron.d whose names are letters, digits, \"_\" and \"-\"", *a.File)
	}
	return nil
}

func (a cronPlace) String() string {
	if a.File != nil {
		return "cron:" + *a.File + "/" + a.Name
	}
	return "cron:" + string(a.User) + "/" + a.Name
}

type cronArgs struct {
	common
	cronPlace
	Command  command           `arg:"command"`
	Minute   starlark.Value    `arg:"minute"`
	Hour     starlark.Value    `arg:"hour"`
	Day      starlark.Value    `arg:"day"`
	Month    starlark.Value    `arg:"month"`
	Weekday  starlark.Value    `arg:"weekday"`
	Special  *string           `arg:"special"`
	Env      map[string]string `arg:"env"`
	Disabled bool              `arg:"disabled"`
}

// ofCron are the variables that cron itself reads, on lines of their own.
var ofCron = []string{"SHELL", "MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING", "CRON_TZ", "RANDOM_DELAY"}

func (a cronArgs) checkEnv() error {
	for _, k := range slices.Sorted(maps.Keys(a.Env)) {
		if !variableName().MatchString(k) {
			return fmt.Errorf("env: %q is no name of a variable", k)
		}
		if err := oneLine("env: "+k, a.Env[k]); err != nil {
			return err
		}
		if a.File == nil && slices.Contains(ofCron, k) {
			return fmt.Errorf("env: %s in a crontab would hold for the jobs below it too: give the job a file = of its own, or set it for all by cron.variable", k)
		}
		if v := a.Env[k]; a.File != nil && strings.Contains(v, `"`) && strings.Contains(v, "'") {
			return fmt.Errorf("env: %s: a value in a file of cron cannot hold both kinds of quotes", k)
		}
	}
	return nil
}

// shellCommand is what cron hands to its shell. A "%" is a line break for cron unless a backslash stands before it.
func (a cronArgs) shellCommand() (string, error) {
	text := a.Command.text
	if !a.Command.shell {
		words := make([]string, len(a.Command.argv))
		for i, w := range a.Command.argv {
			words[i] = shellWord(w)
		}
		text = strings.Join(words, " ")
	}
	if strings.Contains(text, `\%`) {
		return "", fmt.Errorf("command: %q: write \"%%\" as it is, it is escaped for cron by itself", a.Command.text)
	}
	if err := oneLine("command", text); err != nil {
		return "", err
	}
	if a.File == nil {
		for _, k := range slices.Backward(slices.Sorted(maps.Keys(a.Env))) {
			text = "export " + k + "=" + shellWord(a.Env[k]) + "; " + text
		}
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "%", `\%`), nil
}

// shellWord writes a word so that a shell takes it literally.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@+:,./-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// cronMark stands above a job, and Ansible's in its place is taken for it.
func cronMark(name string) string { return "# fabgo: " + name }

func isCronMark(line, name string) bool {
	return line == cronMark(name) || line == ansibleMark+name
}

const ansibleMark = "#Ansible: "

func cronJob(c *call, a cronArgs) (starlark.Value, error) {
	bad := func(err error) (starlark.Value, error) { return nil, fmt.Errorf("cron.job: %w", err) }
	if err := a.check(); err != nil {
		return bad(err)
	}
	when, err := cronTimes([5]starlark.Value{a.Minute, a.Hour, a.Day, a.Month, a.Weekday}, a.Special)
	if err != nil {
		return bad(err)
	}
	if err := a.checkEnv(); err != nil {
		return bad(err)
	}
	text, err := a.shellCommand()
	if err != nil {
		return bad(err)
	}
	off := ""
	if a.Disabled {
		off = "#"
	}
	if a.File == nil {
		return c.converge(a.crontab([]string{cronMark(a.Name), off + when + " " + text}))
	}
	all := []string{cronMark(a.Name)}
	for _, k := range slices.Sorted(maps.Keys(a.Env)) {
		all = append(all, cronVariableLine(k, a.Env[k]))
	}
	all = append(all, off+when+" "+string(a.User)+" "+text)
	content := transport.String(strings.Join(all, "\n") + "\n")
	file := cronFolder.Join(*a.File)
	return c.converge(wholeFiles(a.String(), converge.Object{Key: converge.FileKey(file),
		File: &converge.File{Type: transport.Regular, Content: &content, Mode: "0644", Owner: "root", Group: "root"}}))
}

func cronAbsent(c *call, a struct {
	common
	cronPlace
}) (starlark.Value, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("cron.absent: %w", err)
	}
	if a.File != nil {
		return c.converge(wholeFiles(a.String(), noFile(cronFolder.Join(*a.File))))
	}
	return c.converge(a.crontab(nil))
}

// crontab is a user's crontab with these lines for the job, or without the job.
func (a cronPlace) crontab(job []string) *placedLines {
	return crontab{string(a.User), job != nil}.edited(a.String(), func(l *lines) error {
		at := l.find(func(t string) bool { return isCronMark(t, a.Name) }, true)
		if at < 0 {
			l.swapLines(len(l.text), len(l.text), job...)
			return nil
		}
		to := at + 1
		if to < len(l.text) && !strings.HasPrefix(l.text[to], cronMark("")) && !strings.HasPrefix(l.text[to], ansibleMark) { // somebody took the job away
			to++
		}
		l.swapLines(at, to, job...)
		return nil
	})
}
