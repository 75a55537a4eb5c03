package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const (
	defaultConnectTimeout = 15 * time.Second
	defaultKeepAlive      = 15 * time.Second
)

// fill sets what of e depends on keys, files and times, out of cfg and the options.
func (r resolver) fill(e *Endpoint, cfg *config) error {
	usual := defaultKeys()
	var files []string
	for _, f := range cfg.values["identityfile"] {
		if f == "none" {
			usual = nil
			continue
		}
		files = append(files, expandFile(f, *e))
	}
	for _, f := range r.o.Identities {
		e.Identities = append(e.Identities, expandHome(f))
	}
	e.Identities = append(e.Identities, files...)
	if len(e.Identities) == 0 {
		e.Identities, e.DefaultKeys = usual, true
	}
	for _, f := range cfg.values["certificatefile"] {
		if f != "none" {
			e.Certificates = append(e.Certificates, expandFile(f, *e))
		}
	}
	e.IdentitiesOnly = cfg.flag("identitiesonly")
	switch a := cfg.first("identityagent"); {
	case strings.EqualFold(a, "none"):
	case a == "" || a == "SSH_AUTH_SOCK":
		e.Agent = os.Getenv("SSH_AUTH_SOCK")
	case strings.HasPrefix(a, "$"):
		e.Agent = os.Getenv(strings.Trim(a[1:], "{}"))
	default:
		e.Agent = expandFile(a, *e)
	}

	e.HashKnownHosts = cfg.flag("hashknownhosts")
	e.HostKeyAlias = cfg.first("hostkeyalias")
	if r.o.KnownHosts != "" {
		e.KnownHosts = []string{expandHome(r.o.KnownHosts)}
	} else {
		e.KnownHosts = knownHostsFiles(cfg.values["userknownhostsfile"], *e, "~/.ssh/known_hosts", "~/.ssh/known_hosts2")
		e.GlobalKnownHosts = knownHostsFiles(cfg.values["globalknownhostsfile"], *e, systemConfigFile("ssh_known_hosts"), systemConfigFile("ssh_known_hosts2"))
	}
	policy, err := hostKeyPolicy(r.o.HostKeys, cfg.first("stricthostkeychecking"))
	if err != nil {
		return err
	}
	e.HostKeys = policy

	if e.ConnectTimeout, err = duration(r.o.ConnectTimeout, cfg.first("connecttimeout"), defaultConnectTimeout); err != nil {
		return fmt.Errorf("ssh_config: ConnectTimeout: %w", err)
	}
	if e.KeepAlive, err = duration(r.o.KeepAlive, cfg.first("serveraliveinterval"), defaultKeepAlive); err != nil {
		return fmt.Errorf("ssh_config: ServerAliveInterval: %w", err)
	}
	return nil
}

func defaultKeys() (files []string) {
	for _, n := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		files = append(files, expandHome("~/.ssh/"+n))
	}
	return files
}

func systemConfigFile(name string) string { return filepath.Join(filepath.Dir(systemConfig()), name) }

func knownHostsFiles(set []string, e Endpoint, defaults ...string) (files []string) {
	if len(set) == 0 {
		set = defaults
	}
	for _, f := range set {
		if f != "none" {
			files = append(files, expandFile(f, e))
		}
	}
	return files
}

// hostKeyPolicy reads StrictHostKeyChecking. Its "no" and "off" accept changed keys too, which nothing here does: they count as
// accept-new.
func hostKeyPolicy(wish HostKeyPolicy, configured string) (HostKeyPolicy, error) {
	switch wish {
	case AskHostKey, StrictHostKey, AcceptNewHostKey:
		return wish, nil
	case "":
	default:
		return "", fmt.Errorf("host key policy %q is none of ask, yes, accept-new", wish)
	}
	switch strings.ToLower(configured) {
	case "yes", "true":
		return StrictHostKey, nil
	case "accept-new", "no", "off", "false":
		return AcceptNewHostKey, nil
	case "", "ask":
		return AskHostKey, nil
	}
	return "", fmt.Errorf("ssh_config: StrictHostKeyChecking %q is none of ask, yes, no, accept-new", configured)
}

// duration is the wish, else the configured one (seconds, or numbers with the units s, m, h, d), else the default.
func duration(wish time.Duration, configured string, def time.Duration) (time.Duration, error) {
	if wish > 0 {
		return wish, nil
	}
	if configured == "" || strings.EqualFold(configured, "none") {
		return def, nil
	}
	var sum time.Duration
	for s := configured; s != ""; {
		i := strings.IndexFunc(s, func(c rune) bool { return c < '0' || c > '9' })
		unit := time.Second
		digits, rest := s, ""
		if i >= 0 {
			digits, rest = s[:i], s[i+1:]
			u, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[s[i]|0x20]
			if !ok {
				return 0, fmt.Errorf("%q is not a time", configured)
			}
			unit = u
		}
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time", configured)
		}
		sum, s = sum+time.Duration(n)*unit, rest
	}
	if sum <= 0 { // ServerAliveInterval 0 is OpenSSH's default, "never": here a dead connection is always found
		return def, nil
	}
	return sum, nil
}

// expandHome replaces a leading ~.
func expandHome(name string) string {
	if name != "~" && !strings.HasPrefix(name, "~/") {
		return name
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return name
	}
	return filepath.Join(home, name[1:])
}

func expandFile(name string, e Endpoint) string { return expandHome(expandTokens(name, e, e.Name)) }

// expandTokens replaces the tokens of ssh_config(5).
func expandTokens(s string, e Endpoint, name string) string {
	home, _ := os.UserHomeDir()
	local, _ := os.Hostname()
	short, _, _ := strings.Cut(local, ".")
	uid := ""
	if runtime.GOOS != "windows" {
		uid = strconv.Itoa(os.Getuid())
	}
	return strings.NewReplacer("%%", "%", "%d", home, "%h", e.Host, "%i", uid, "%k", alias(e), "%L", short, "%l", local,
		"%n", name, "%p", strconv.Itoa(e.Port), "%r", e.User, "%u", localUser()).Replace(s)
}

func alias(e Endpoint) string {
	if e.HostKeyAlias != "" {
		return e.HostKeyAlias
	}
	return e.Host
}
