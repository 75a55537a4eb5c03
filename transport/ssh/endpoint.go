package ssh

import (
	"fmt"
	"net"
	"net/url"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// Endpoint is a target with everything that has to be known to reach it.
type Endpoint struct {
	Name             string // what it was called, without user and port
	Host             string // what is dialled
	Port             int
	User             string
	Identities       []string // private key files, in the order in which they are offered
	DefaultKeys      bool     // Identities are the usual names, not the wish of anybody
	IdentitiesOnly   bool     // of the agent's keys, offer those of Identities only
	Certificates     []string
	Agent            string   // its socket; "" is none
	KnownHosts       []string // files; new keys go to the first
	GlobalKnownHosts []string
	HashKnownHosts   bool
	HostKeyAlias     string // the name in known_hosts instead of Host
	HostKeys         HostKeyPolicy
	ConnectTimeout   time.Duration
	KeepAlive        time.Duration
	Jumps            []Endpoint // the hosts on the way, nearest first
	ProxyCommand     string     // its standard input and output are the connection
}

// Addr is host:port.
func (e Endpoint) Addr() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// String names the endpoint as a person would write it.
func (e Endpoint) String() string {
	if e.Port == 22 {
		return e.User + "@" + e.Host
	}
	return e.User + "@" + e.Addr()
}

// target is what can be read off the text of a target.
type target struct {
	user string
	host string
	port int
}

// parseTarget reads host, user@host, user@host:port, [v6]:port, a bare IPv6 address, and ssh://user@host:port. The last @ ends the
// user name, so that a name may hold one.
func parseTarget(s string) (t target, err error) {
	bad := func(why string) (target, error) { return target{}, fmt.Errorf("target %q: %s", s, why) }
	rest, uri := strings.CutPrefix(s, "ssh://")
	if uri {
		rest = strings.TrimSuffix(rest, "/")
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		t.user, rest = rest[:i], rest[i+1:]
		if uri {
			if t.user, err = url.PathUnescape(t.user); err != nil {
				return bad("the user name is not a proper part of a URI")
			}
		}
		if t.user == "" {
			return bad("the user name is empty")
		}
		if strings.ContainsAny(t.user, "\x00\r\n") {
			return bad("the user name holds a control character")
		}
	}
	port := ""
	switch {
	case strings.HasPrefix(rest, "["):
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return bad("a [ without a ]")
		}
		t.host, rest = rest[1:end], rest[end+1:]
		if rest != "" && rest[0] != ':' {
			return bad("only :port may follow the ]")
		}
		port = strings.TrimPrefix(rest, ":")
		if rest == ":" {
			return bad("the port is empty")
		}
	case strings.Count(rest, ":") == 1:
		t.host, port, _ = strings.Cut(rest, ":")
		if port == "" {
			return bad("the port is empty")
		}
	default:
		t.host = rest
	}
	if port != "" {
		if t.port, err = strconv.Atoi(port); err != nil || t.port < 1 || t.port > 65535 {
			return bad("the port is not a number from 1 to 65535")
		}
	}
	if err := checkHost(t.host); err != nil {
		return bad(err.Error())
	}
	return t, nil
}

// checkHost refuses names that could be taken for something else than a name, such as an option of a program.
func checkHost(h string) error {
	switch {
	case h == "":
		return fmt.Errorf("the host is empty")
	case h[0] == '-':
		return fmt.Errorf("a host cannot begin with a dash")
	}
	for i := range len(h) {
		if c := h[i]; c <= ' ' || c == 0x7f || strings.IndexByte("/\\\"'`$;|&<>(){}*?!#", c) >= 0 {
			return fmt.Errorf("a host cannot hold the character %q", c)
		}
	}
	return nil
}

// Resolve finds out what target stands for, by the options and by the user's and the system's ssh_config, hosts on the way included.
func Resolve(target string, o Options) (Endpoint, error) {
	return resolver{o: o}.resolve(target, nil, false)
}

type resolver struct{ o Options }

// resolve resolves a target, or a host on the way to it (hop), to which the options that name a user, a port or a way do not apply.
// seen are the hops above, so that "Host *" with a ProxyJump does not go round in circles.
func (r resolver) resolve(text string, seen []string, hop bool) (Endpoint, error) {
	t, err := parseTarget(text)
	if err != nil {
		return Endpoint{}, err
	}
	if len(seen) > 8 {
		return Endpoint{}, fmt.Errorf("resolve %s: more than 8 jump hosts: %s", text, strings.Join(seen, " via "))
	}
	cfg, err := loadConfig(r.o.Config, t)
	if err != nil {
		return Endpoint{}, fmt.Errorf("resolve %s: %w", text, err)
	}
	e := Endpoint{Name: t.host, Host: t.host, Port: 22}
	if h := cfg.first("hostname"); h != "" {
		e.Host = strings.NewReplacer("%%", "%", "%h", t.host).Replace(h)
		if err := checkHost(e.Host); err != nil {
			return Endpoint{}, fmt.Errorf("resolve %s: HostName of ssh_config: %w", text, err)
		}
	}
	if p := cfg.first("port"); p != "" {
		if e.Port, err = strconv.Atoi(p); err != nil || e.Port < 1 || e.Port > 65535 {
			return Endpoint{}, fmt.Errorf("resolve %s: ssh_config: Port %q is not a port", text, p)
		}
	}
	if e.User = cfg.first("user"); e.User == "" {
		e.User = localUser()
	}
	if r.o.Known != nil {
		if err := r.o.Known(t.host).over(&e); err != nil {
			return Endpoint{}, fmt.Errorf("resolve %s: %w", text, err)
		}
	}
	if t.port != 0 {
		e.Port = t.port
	}
	if t.user != "" {
		e.User = t.user
	}
	if !hop {
		if r.o.Port != 0 {
			e.Port = r.o.Port
		}
		if r.o.User != "" {
			e.User = r.o.User
		}
	}
	if err := r.fill(&e, cfg); err != nil {
		return Endpoint{}, fmt.Errorf("resolve %s: %w", text, err)
	}
	jump, given := cfg.first("proxyjump"), false
	if !hop && r.o.Jump != "" {
		jump, given = r.o.Jump, true
	}
	if pc := cfg.first("proxycommand"); pc != "" && !given && (jump == "" || cfg.before("proxycommand", "proxyjump")) {
		if jump = ""; pc != "none" {
			if strings.Contains(pc, "%r") && strings.ContainsAny(e.User, "\"'`$;|&<>(){}\\*?!# \t") {
				return Endpoint{}, fmt.Errorf("resolve %s: the user name %q cannot stand in a ProxyCommand, which a shell reads", text, e.User)
			}
			e.ProxyCommand = expandTokens(pc, e, t.host)
		}
	}
	if jump == "" || jump == "none" {
		return e, nil
	}
	for i, name := range strings.Split(jump, ",") {
		name = strings.TrimSpace(name)
		j, err := r.resolve(name, append(seen[:len(seen):len(seen)], t.host), true)
		if err != nil {
			return Endpoint{}, fmt.Errorf("jump host of %s: %w", text, err)
		}
		if hop && (j.Name == t.host || contains(seen, j.Name)) {
			return e, nil // a jump host that is to be reached through itself is reached directly, as ssh does
		}
		if i == 0 {
			e.Jumps = append(e.Jumps, j.Jumps...)
		}
		j.Jumps = nil
		e.Jumps = append(e.Jumps, j)
	}
	return e, nil
}

// over lays what is known of a host over what ssh_config says of it.
func (k Known) over(e *Endpoint) error {
	if k.Address != "" {
		if err := checkHost(k.Address); err != nil {
			return fmt.Errorf("its address in the inventory: %w", err)
		}
		e.Host = k.Address
	}
	if k.User != "" {
		e.User = k.User
	}
	if k.Port != 0 {
		e.Port = k.Port
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func localUser() string {
	u, err := user.Current()
	if err != nil {
		return "root"
	}
	name := u.Username
	if i := strings.LastIndexByte(name, '\\'); i >= 0 { // Windows: MACHINE\name
		name = name[i+1:]
	}
	return name
}
