package module

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"golang.org/x/mod/semver"
)

// CheckSource refuses what is not the plain address of a git repository. git would run a program for some others ("ext::"), and take those
// that begin with a dash for options.
func CheckSource(source string) error {
	const remedy = "write https://host/path, ssh://user@host/path or file:///path"
	if strings.ContainsFunc(source, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' || r == '"' }) {
		return fmt.Errorf("source %q: it holds a character that no address has: %s", source, remedy)
	}
	u, err := url.Parse(source)
	if err != nil {
		return fmt.Errorf("source %q is no address: %s", source, remedy)
	}
	password := false
	if u.User != nil {
		_, password = u.User.Password()
	}
	switch {
	case password || u.User != nil && u.Scheme == "https":
		return fmt.Errorf("source of %s holds a user name or a password: leave them to the credentials of git", u.Host)
	case u.Scheme != "https" && u.Scheme != "ssh" && u.Scheme != "file" || u.Opaque != "":
		return fmt.Errorf("source %q is not fetched: %s", source, remedy)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return fmt.Errorf("source %q: it has a query or a fragment: %s", source, remedy)
	case u.Scheme == "file" && u.Host != "", u.Scheme != "file" && u.Hostname() == "":
		return fmt.Errorf("source %q: %s", source, remedy)
	case strings.HasPrefix(u.Host, "-"), u.User != nil && strings.HasPrefix(u.User.Username(), "-"):
		return fmt.Errorf("source %q: a name in it begins with a dash: %s", source, remedy)
	case len(u.Path) < 2 || path.Clean(u.Path) != u.Path:
		return fmt.Errorf("source %q: its path is empty, ends with a slash or makes detours: %s", source, remedy)
	case strings.HasPrefix(strings.TrimLeft(u.Path, "/"), "-"):
		return fmt.Errorf("source %q: its path begins with a dash: %s", source, remedy)
	}
	return nil
}

// CheckVersion refuses what is not a full semantic version, as tags have it.
func CheckVersion(v string) error {
	if !semver.IsValid(v) || semver.Canonical(v) != v {
		return fmt.Errorf("%q is no version: write v1.2.3, the name of a tag", v)
	}
	return nil
}
