package ssh

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// config are the settings of ssh_config that apply to one host: for every keyword (lower case) its values, in the order of the
// files. Of most keywords the first value counts.
type config struct {
	values map[string][]string
	order  map[string]int
}

func (c *config) add(key, value string) {
	if c.values == nil {
		c.values, c.order = map[string][]string{}, map[string]int{}
	}
	if len(c.values[key]) == 0 {
		c.order[key] = len(c.order)
	}
	c.values[key] = append(c.values[key], value)
}

func (c *config) first(key string) string {
	if v := c.values[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c *config) flag(key string) bool { return isYes(c.first(key)) }

func isYes(s string) bool { s = strings.ToLower(s); return s == "yes" || s == "true" }

// before reports whether a was set and b not, or later.
func (c *config) before(a, b string) bool {
	if len(c.values[a]) == 0 {
		return false
	}
	return len(c.values[b]) == 0 || c.order[a] < c.order[b]
}

// needsSSH says that a file holds something that only OpenSSH itself can evaluate.
type needsSSH struct{ where, what string }

func (n needsSSH) Error() string { return fmt.Sprintf("%s: %s", n.where, n.what) }

// loadConfig reads what applies to t. file is Options.Config.
func loadConfig(file string, t target) (*config, error) {
	r := &configReader{host: t.host, cfg: &config{}, active: true}
	if file == "none" {
		return r.cfg, nil
	}
	var err error
	if file != "" {
		err = r.read(expandHome(file), true, 0)
	} else {
		if home, herr := os.UserHomeDir(); herr == nil {
			err = skipMissing(r.read(filepath.Join(home, ".ssh", "config"), true, 0))
		}
		if err == nil {
			r.active = true
			err = skipMissing(r.read(systemConfig(), false, 0))
		}
	}
	if n, ok := errors.AsType[needsSSH](err); ok {
		return askOpenSSH(file, t, n)
	}
	if err != nil {
		return nil, fmt.Errorf("read ssh_config: %w", err)
	}
	return r.cfg, nil
}

func systemConfig() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "ssh", "ssh_config")
	}
	return "/etc/ssh/ssh_config"
}

func skipMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

type configReader struct {
	host   string
	cfg    *config
	active bool // the lines at hand apply to host
}

func (r *configReader) read(name string, userFile bool, depth int) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(b), "\n") {
		if err := r.line(line, userFile, depth, fmt.Sprintf("%s:%d", name, i+1)); err != nil {
			return err
		}
	}
	return nil
}

func (r *configReader) line(line string, userFile bool, depth int, where string) error {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return fmt.Errorf("%s: %q has no value", where, line)
	}
	key := strings.ToLower(line[:end])
	rest := strings.TrimLeft(line[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	if key == "proxycommand" { // the rest of the line, quotes and all
		if r.active {
			r.cfg.add(key, rest)
		}
		return nil
	}
	args, err := splitArgs(rest)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if len(args) == 0 {
		return fmt.Errorf("%s: %q has no value", where, line)
	}
	switch key {
	case "host":
		r.active = matchPatterns(args, r.host)
	case "match":
		if len(args) != 1 || !strings.EqualFold(args[0], "all") {
			return needsSSH{where, "Match"}
		}
		r.active = true
	case "include":
		if !r.active {
			return nil
		}
		if depth > 16 {
			return fmt.Errorf("%s: more than 16 levels of Include", where)
		}
		for _, pattern := range args {
			if err := r.include(pattern, userFile, depth); err != nil {
				return err
			}
		}
	case "canonicalizehostname":
		if r.active && !strings.EqualFold(args[0], "no") {
			return needsSSH{where, "CanonicalizeHostname"}
		}
	case "userknownhostsfile", "globalknownhostsfile":
		if r.active && len(r.cfg.values[key]) == 0 {
			for _, a := range args {
				r.cfg.add(key, a)
			}
		}
	default:
		if r.active {
			r.cfg.add(key, args[0])
		}
	}
	return nil
}

func (r *configReader) include(pattern string, userFile bool, depth int) error {
	pattern = expandHome(pattern)
	if !filepath.IsAbs(pattern) {
		dir := filepath.Dir(systemConfig())
		if userFile {
			home, err := os.UserHomeDir()
			if err != nil {
				return err
			}
			dir = filepath.Join(home, ".ssh")
		}
		pattern = filepath.Join(dir, pattern)
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("read what Include %s names: %w", pattern, err)
	}
	for _, name := range names {
		if err := skipMissing(r.read(name, userFile, depth+1)); err != nil {
			return err
		}
		r.active = true // a Host line of the included file ends with that file
	}
	return nil
}

// splitArgs splits a line as OpenSSH does: white space separates, double quotes keep together, # at the start of a word ends it.
func splitArgs(s string) (args []string, err error) {
	for {
		s = strings.TrimLeft(s, " \t\r")
		if s == "" || s[0] == '#' {
			return args, nil
		}
		var word strings.Builder
		i, quote := 0, byte(0)
		for ; i < len(s); i++ {
			c := s[i]
			switch {
			case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\'' || s[i+1] == '\\' || quote == 0 && s[i+1] == ' '):
				i++
				word.WriteByte(s[i])
				continue
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
				continue
			case c == quote && quote != 0:
				quote = 0
				continue
			}
			if quote == 0 && (c == ' ' || c == '\t' || c == '\r') {
				break
			}
			word.WriteByte(c)
		}
		if quote != 0 {
			return nil, fmt.Errorf("a %c without its end", quote)
		}
		args, s = append(args, word.String()), s[i:]
	}
}

// matchPatterns is OpenSSH's: * and ?, a leading ! rules out.
func matchPatterns(patterns []string, host string) bool {
	matched := false
	for _, p := range patterns {
		p, not := strings.CutPrefix(p, "!")
		if !wildcard(strings.ToLower(p), strings.ToLower(host)) {
			continue
		}
		if not {
			return false
		}
		matched = true
	}
	return matched
}

func wildcard(pattern, s string) bool {
	star, mark, p, i := -1, 0, 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// askOpenSSH has the ssh program resolve what only it can.
func askOpenSSH(file string, t target, why needsSSH) (*config, error) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		return nil, fmt.Errorf("%s: only the ssh program can evaluate %s, and there is none in PATH", why.where, why.what)
	}
	args := []string{"-G"}
	if file != "" {
		args = append(args, "-F", expandHome(file))
	}
	if t.port != 0 {
		args = append(args, "-p", strconv.Itoa(t.port))
	}
	if t.user != "" {
		args = append(args, "-l", t.user)
	}
	cmd := exec.Command(program, append(args, "--", t.host)...)
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: ask ssh -G: %w: %s", why.where, err, strings.TrimSpace(stderr.String()))
	}
	cfg := &config{}
	defer func() { // with none configured, it lists all the usual names
		if !slices.ContainsFunc(cfg.values["identityfile"], func(f string) bool { return !strings.HasPrefix(f, "~/.ssh/id_") }) {
			delete(cfg.values, "identityfile")
		}
	}()
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch key {
		case "userknownhostsfile", "globalknownhostsfile":
			for _, v := range strings.Fields(value) {
				cfg.add(key, v)
			}
		case "":
		default:
			cfg.add(key, value)
		}
	}
	return cfg, nil
}
