package builtins

import (
	"context"
	"regexp"
	"strings"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// aptHints say what to do about apt's complaints; the first that fits counts.
var aptHints = []struct{ pattern, hint string }{
	{"Unable to locate package|has no installation candidate|Couldn't find any package by", "no repository that the host knows has it: check the spelling, add a repository with apt.repo, or name one of the packages that provide it"},
	{"Version '[^']*' for '[^']*' was not found", "the repositories have other versions: `apt-cache policy PACKAGE` lists them; a pattern such as \"nginx=1.22.*\" also does"},
	{"The value '[^']*' is invalid for APT::Default-Release", "no repository that the host knows has this release: apt.repo adds one"},
	{"NO_PUBKEY|EXPKEYSIG|REVKEYSIG|BADSIG|is not signed|signatures were invalid|signatures couldn't be verified|Signed-By", "the repository is not signed with a key that the host trusts: apt.key installs it, signed_by of apt.repo names it; fabgo never turns the check off"},
	{"is not valid yet", "the clock of the host is behind: set it"},
	{"is expired|is no longer valid", "the mirror is stale, or the clock of the host is ahead: use another mirror (uris of apt.repo), or set the clock"},
	{"Hash Sum mismatch|unexpected size|Mirror sync in progress", "the mirror is being updated, or a proxy keeps old files: try again later, or use another mirror (uris of apt.repo)"},
	{"407  ?Proxy|Proxy Authentication|Invalid response from proxy", "the proxy refuses: its address and password stand in /etc/apt/apt.conf.d (Acquire::http::Proxy)"},
	{"401  ?Unauthorized|403  ?Forbidden", "the mirror refuses: a password for it belongs in /etc/apt/auth.conf.d"},
	{"404  ?Not Found|does not have a Release file", "the mirror does not have that file: the package index may be old (apt.update(max_age = 0)), or uris, suites and components of the repository are wrong"},
	{"Could not resolve|Temporary failure resolving|Could not connect|Connection failed|[Cc]onnection timed out|Connection refused|Network is unreachable|No route to host|Certificate verification failed", "the host cannot reach its mirror: check its network and DNS, or a proxy in /etc/apt/apt.conf.d"},
	{"No space left on device|don't have enough free space", "make room on the host: `apt-get clean` empties the cache of packages"},
	{"[Hh]eld packages were changed|you have held broken packages", "a package in the way is on hold (`apt-mark showhold`; apt.unhold releases it), or the wanted versions do not fit together"},
	{"Packages were downgraded", "an older version than the installed one is wanted: downgrade = True allows it"},
	{"[Ee]ssential packages", "packages without which the system does not work would be removed; fabgo does not do that"},
	{"Unmet dependencies|--fix-broken", "an earlier installation left packages without what they depend on: `apt-get --fix-broken install` repairs it"},
	{"pkgProblemResolver|have unmet dependencies", "these packages do not fit together with those that are installed, or something that they need is in no repository"},
	{"dpkg was interrupted", "`dpkg --configure -a` on the host finishes what was interrupted"},
	{"are you root|Permission denied", "packages need root: log in as root, or let fabgo use sudo"},
	{"subprocess returned error exit status|error processing package", "a script of the package failed: what it said is above; once that is mended, the next run goes on"},
}

func aptHint(said string) string {
	for _, h := range aptHints {
		if regexp.MustCompile(h.pattern).MatchString(said) {
			return h.hint
		}
	}
	return ""
}

// aptComplaints are the lines with which apt and dpkg say what is wrong, without those that only repeat it.
func aptComplaints(said string) []string {
	var out []string
	more := false
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		switch t := strings.TrimSpace(line); {
		case strings.HasPrefix(t, "E: Sub-process "), strings.HasPrefix(t, "W: Some index files"), strings.HasPrefix(t, "E: Some index files"), t == "":
			more = false
		case strings.HasPrefix(t, "E: "), strings.HasPrefix(t, "W: "), strings.HasPrefix(t, "Err:"), strings.HasPrefix(t, "dpkg: error"), strings.HasSuffix(t, "is a virtual package provided by:"):
			out, more = append(out, line), true
		case more && line[0] == ' ', strings.Contains(t, "Depends: "), strings.Contains(t, "Breaks: "), strings.Contains(t, "Conflicts: "):
			out = append(out, line)
		default:
			more = false
		}
	}
	if n := len(out); n > 10 {
		out = append([]string{"..."}, out[n-10:]...)
	}
	return out
}

var (
	failedUnit   = whenUsed(`(?:Job for|Failed to (?:re)?start|Failed to reload) ([A-Za-z0-9:_.@\\-]+\.(?:service|socket|timer|mount))`)
	failedScript = whenUsed(`dpkg: error processing (?:package|archive) (\S+)`)
)

// explain is the error of an apt-get that failed: apt's own lines and, where a script of a package failed, what it printed and the end of
// the journal of the service that it could not start.
func (a *apt) explain(ctx context.Context, h transport.Host, argv []string, out transport.Output) error {
	said := string(out.Stdout) + "\n" + string(out.Stderr)
	show := aptComplaints(said)
	if pkg := failedScript().FindStringSubmatch(said); pkg != nil {
		show = append(scriptSaid(string(out.Stdout)+string(out.Stderr)), show[:min(len(show), 2)]...)
		name, _, _ := strings.Cut(pkg[1], ":") // foo:amd64
		unit := name + ".service"
		if u := failedUnit().FindStringSubmatch(said); u != nil {
			unit = u[1]
		}
		if said := journalTail(ctx, h, unit, 6); said != nil {
			show = append(append(show, "the journal of "+unit+":"), said...)
		}
	}
	if len(show) == 0 {
		show = strings.Split(strings.TrimSpace(said), "\n")
	}
	out.Stderr = transport.Text(strings.Join(show, "\n"))
	return &converge.CommandError{Argv: argv, Output: out, Hint: aptHint(said)}
}

// scriptSaid are the last lines before dpkg says that a script failed.
func scriptSaid(said string) []string {
	var out []string
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "dpkg: error processing"):
			return out[max(len(out)-3, 0):]
		case strings.HasPrefix(line, "Setting up "), strings.HasPrefix(line, "Preparing to unpack "), strings.HasPrefix(line, "Unpacking "), strings.HasPrefix(line, "(Reading database"):
			out = nil
		case line != "":
			out = append(out, line)
		}
	}
	return nil
}
