package controller

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"fabgo/transport"
)

// Spelled are the texts that a bundle spells out, wherever they stand in its files. A host that evaluates a bundle may be in anybody's
// hands, and asks in the bundle's name: what a repository keeps from hosts it is answered only when the bundle itself names it.
type Spelled []string

// names reports whether one of the texts can have led to the name: it is the end of it, at a slash.
func (s Spelled) names(name string) bool {
	return slices.ContainsFunc(s, func(text string) bool {
		text = cleaned(text)
		return text != "" && strings.HasSuffix("/"+strings.TrimLeft(name, "/"), "/"+text)
	})
}

// leads reports whether one of the texts is a folder of the name, or the name itself. The bare name of a private folder is no such text: it
// may stand in a bundle for something else.
func (s Spelled) leads(name string) bool {
	return slices.ContainsFunc(s, func(text string) bool {
		text = cleaned(text)
		return text != "" && !secluded(text) && strings.Contains("/"+strings.TrimLeft(name, "/")+"/", "/"+text+"/")
	})
}

// cleaned is a text as the end of a path; "" when it is none.
func cleaned(text string) string {
	if i := strings.Index(text, "//"); i >= 0 {
		text = text[i+2:]
	}
	text = strings.TrimLeft(path.Clean("/"+text), "/")
	if text == "" || strings.ContainsAny(text, "\n\x00") {
		return ""
	}
	return text
}

// private reports whether a name is of what a repository keeps from hosts: settings and secrets of other hosts, what git and tools keep, and
// all of this machine that lies outside of it.
func private(name string) bool {
	name = strings.ToLower(name) // some file systems take one for the other
	_, file, ok := strings.Cut(name, "//")
	if !ok {
		return true // an absolute path
	}
	parts := strings.Split(file, "/")
	if slices.ContainsFunc(parts, secluded) {
		return true
	}
	base := parts[len(parts)-1]
	return strings.HasSuffix(base, ".age") || strings.HasPrefix(base, "inventory") || strings.HasPrefix(base, "fab.")
}

// secluded reports whether what lies below a folder of this name is private.
func secluded(folder string) bool {
	return strings.HasPrefix(folder, ".") || folder == "vars" || folder == "secrets"
}

// named reports whether the bundle spells out a private name. The part that makes it private has to be in the text, or behind a folder that
// is one: the end of a name, such as "config" of .git/config, is a word of many bundles.
func (s Spelled) named(name string) bool {
	_, file, ok := strings.Cut(name, "//")
	if !ok {
		return s.names(name) || s.leads(name)
	}
	at := secludedAt(file)
	return slices.ContainsFunc(s, func(text string) bool {
		text = cleaned(text)
		if text == "" {
			return false
		}
		return strings.HasSuffix("/"+file, "/"+text) && len(text) >= len(file)-at || !secluded(strings.ToLower(text)) && strings.Contains("/"+file[:at], "/"+text+"/")
	})
}

// secludedAt is where in a private name the part begins that makes it so.
func secludedAt(file string) int {
	at := 0
	for part := range strings.SplitSeq(file, "/") {
		if secluded(strings.ToLower(part)) {
			return at
		}
		at += len(part) + 1
	}
	return strings.LastIndexByte(file, '/') + 1
}

// plain is a name without detours.
func plain(name string) string {
	if module, file, ok := strings.Cut(name, "//"); ok {
		return module + "//" + path.Clean(file)
	}
	return path.Clean(name)
}

func (c *Controller) mayRead(name string) error {
	name = plain(name)
	if c.Spelled == nil || !private(name) || c.Spelled.named(name) {
		return nil
	}
	return &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("read %s: the bundle does not name it, and a host that asks for such files by itself is not answered", name),
		Hint: "write the name into the bundle as one text, or evaluate it here: --evaluate=controller"}
}

func (c *Controller) mayWrite(name string) error {
	if c.Spelled == nil {
		return nil
	}
	name = plain(name)
	if c.Spelled.leads(name) && !strings.HasSuffix(name, ".star") && (!private(name) || c.Spelled.named(name)) {
		return nil
	}
	return &transport.Error{Kind: transport.Refused, Message: fmt.Sprintf("write %s: the bundle names no such destination, and a host that chooses its own is not let", name),
		Hint: "write the destination into the bundle as one text, or evaluate it here: --evaluate=controller"}
}
