package ssh

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"fabgo/transport"
	"fabgo/transport/tables"
)

// account is a line of the passwd table.
type account struct {
	name, home, shell string
	uid, gid          int
}

// names is what was learnt of users and groups. Commands may change them, so a changing Exec empties it.
type names struct {
	mu      sync.Mutex
	users   map[string]account // by name or id as asked
	byGroup map[string]int
	owners  map[int]string
	groups  map[int]string
}

func (n *names) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.users, n.byGroup, n.owners, n.groups = nil, nil, nil, nil
}

// probe is the first script on a connection. That its begin arrives shows that the account can run commands.
const probe = `begin probe
u=$(id -u); g=$(id -g)
echo "uid=$u"; echo "gid=$g"
` + passwdLine + `
l=$(pw "$u") && echo "pw=$l"
for t in setsid setpriv runuser su sudo doas sha256sum stat find xargs readlink getent timeout sync chattr lsattr; do
  command -v "$t" >/dev/null 2>&1 && echo "tool=$t"
done
[ -n "$(find / -maxdepth 0 -printf x 2>/dev/null)" ] && echo tool=find-printf
setpriv --help 2>&1 | grep -q -e --init-groups && echo tool=setpriv-init-groups
mv --help 2>&1 | grep -q -e -T && echo tool=mv-T
for s in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/libexec/sftp-server /usr/lib/ssh/sftp-server /usr/lib/sftp-server /usr/libexec/ssh/sftp-server; do
  if [ -x "$s" ]; then echo "sftp=$s"; break; fi
done
exit 0
`

// passwdLine defines pw, which prints the passwd line of a name or id: getent knows more than the file.
const passwdLine = `pw() {
  getent passwd "$1" 2>/dev/null && return
  while IFS= read -r l; do
    IFS=:; set -f; set -- "$1" $l; unset IFS; set +f
    if [ "$2" = "$1" ] || [ "$4" = "$1" ]; then printf '%s\n' "$l"; return 0; fi
  done </etc/passwd
  return 1
}`

// prepare finds out about the account behind a new connection.
func (h *Host) prepare(ctx context.Context, c *conn) (*link, error) {
	l := &link{conn: c}
	out, end, err := h.probe(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	if end.word != "probe" {
		return nil, h.noCommands(c, end)
	}
	if h.opts.Sudo && !strings.Contains(out, "uid=0\n") {
		if h.refused() {
			return nil, errRefusedBefore()
		}
		if l.root, err = h.escalate(ctx, c, "root"); err != nil {
			return nil, err
		}
		if out, end, err = h.probe(ctx, c, l.root); err != nil {
			return nil, err
		}
		if end.word != "probe" {
			return nil, h.refusal(end.noise)
		}
	}
	l.acct = account{name: "", home: "/", shell: "/bin/sh", uid: -1, gid: -1}
	l.tools = map[string]bool{}
	server := ""
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		switch key {
		case "uid":
			l.acct.uid, _ = strconv.Atoi(value)
			l.acct.name = value
		case "gid":
			l.acct.gid, _ = strconv.Atoi(value)
		case "pw":
			if a, ok := parseAccount(value); ok {
				l.acct = a
			}
		case "tool":
			l.tools[value] = true
		case "sftp":
			server = value
		}
	}
	if l.acct.uid < 0 {
		return nil, h.dialer.fail(h.ep, transport.Unsupported, "the host lacks the program id", "", nil)
	}
	l.files = &fileServer{h: h, conn: c, as: l.root, program: server}
	l.table = tables.NewReader(&tableSource{h, l})
	return l, nil
}

func (h *Host) probe(ctx context.Context, c *conn, as *escalation) (string, ending, error) {
	var out bytes.Buffer
	stderr := transport.NewCapture(0)
	end, err := c.run(ctx, h.times, request{what: "look at the account", body: probe, as: as, stdin: nothing, stdout: &out, stderr: stderr,
		timeout: h.times.Auth, spare: h.spare(c)})
	return out.String(), end, err
}

// noCommands explains an account that lets us in but runs nothing.
func (h *Host) noCommands(c *conn, end ending) error {
	said := end.noise
	if b := strings.TrimSpace(c.banner); b != "" {
		said = strings.TrimPrefix(said+"; "+b, "; ")
	}
	if said == "" {
		said = fmt.Sprintf("it said nothing and ended with code %d", end.code)
	}
	hint := "the account is restricted: its shell may be nologin or false, or sshd_config may force a command (internal-sftp)"
	if low := lowered(said); strings.Contains(low, "password") && (strings.Contains(low, "expired") || strings.Contains(low, "change")) {
		hint = "the account's password expired: log in with ssh and change it, or chage -M -1 on the host"
	}
	return h.dialer.fail(h.ep, transport.Auth, "the login worked, but the account cannot run commands: "+said, hint, nil)
}

func parseAccount(line string) (account, bool) {
	users := tables.ParsePasswd([]byte(line + "\n"))
	if len(users) != 1 {
		return account{}, false
	}
	u := users[0]
	a := account{name: u.Name, home: u.Home, shell: u.Shell}
	a.uid, _ = strconv.Atoi(u.UID)
	a.gid, _ = strconv.Atoi(u.GID)
	if a.shell == "" {
		a.shell = "/bin/sh"
	}
	if !strings.HasPrefix(a.home, "/") {
		a.home = "/"
	}
	return a, true
}

// account finds a user by name or id.
func (h *Host) account(ctx context.Context, l *link, key string) (account, error) {
	if key == l.acct.name {
		return l.acct, nil
	}
	h.names.mu.Lock()
	a, ok := h.names.users[key]
	h.names.mu.Unlock()
	if ok {
		return a, nil
	}
	out, err := h.observe(ctx, l, "look up the user "+key, passwdLine+"\nbegin pw\npw "+shellWord(key)+" || pw "+shellWord(strings.TrimLeft(key, "0"))+"; exit 0")
	if err != nil {
		return account{}, err
	}
	first, _, _ := strings.Cut(out, "\n")
	a, ok = parseAccount(first)
	if !ok {
		if id, err := strconv.Atoi(key); err == nil && id >= 0 { // an id needs no name
			return account{name: key, home: "/", shell: "/bin/sh", uid: id, gid: -1}, nil
		}
		return account{}, &transport.Error{Kind: transport.NotFound, Message: fmt.Sprintf("there is no user %q on the host", key)}
	}
	h.names.mu.Lock()
	defer h.names.mu.Unlock()
	if h.names.users == nil {
		h.names.users = map[string]account{}
	}
	h.names.users[key] = a
	return a, nil
}

// observe runs a script of our own that changes nothing, as the acting user, and gives what it printed.
func (h *Host) observe(ctx context.Context, l *link, what, body string) (string, error) {
	var out bytes.Buffer
	stderr := transport.NewCapture(0)
	end, err := l.run(ctx, h.times, request{what: what, body: body, as: l.root, stdin: nothing, stdout: &out, stderr: stderr, spare: h.spare(l.conn)})
	if err != nil {
		return "", err
	}
	if end.word == "" {
		return "", neverBegan(what, end)
	}
	return out.String(), nil
}

// neverBegan explains a script whose begin did not come.
func neverBegan(what string, end ending) error {
	return &transport.Error{Kind: transport.Protocol, Message: fmt.Sprintf("%s: the far end's shell ended with code %d before the command began: %s", what, end.code, end.noise)}
}
