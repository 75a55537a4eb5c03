package interp

import (
	"fmt"
	"path"
	"strings"
)

// A canonical name is "//lib/x.star" for a file of the bundle's repository and "@mod//x.star" for one of a library.

// splitName takes a canonical name apart: module is "" for the repository.
func splitName(name string) (module, file string) {
	if rest, ok := strings.CutPrefix(name, "@"); ok {
		module, file, _ = strings.Cut(rest, "//")
		return module, file
	}
	return "", strings.TrimPrefix(name, "//")
}

func joinName(module, file string) string {
	if module == "" {
		return "//" + file
	}
	return "@" + module + "//" + file
}

// resolveLoad is the canonical name of what a file means by load(raw). "//" in a library is that library's own root.
func resolveLoad(from, raw string) (name, hint string, err error) {
	module, current := splitName(from)
	file := ""
	switch {
	case raw == "":
		return "", "", fmt.Errorf("load of an empty name")
	case strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", "", fmt.Errorf("load of %q: the name holds a control character", raw)
	case strings.Contains(raw, `\`):
		return "", "names of files are written with /, on every system", fmt.Errorf("load of %q: the name holds a backslash", raw)
	case strings.HasPrefix(raw, "@"):
		var ok bool
		if module, file, ok = strings.Cut(raw[1:], "//"); !ok || module == "" {
			return "", "", fmt.Errorf(`load of %q: the name of a library's file is "@library//file.star"`, raw)
		}
	case strings.HasPrefix(raw, "//"):
		file = raw[2:]
	case strings.HasPrefix(raw, "/"):
		return "", fmt.Sprintf("%q would be that path from the root of the repository", "/"+raw), fmt.Errorf("load of %q: absolute paths are not loaded", raw)
	default:
		file = path.Join(path.Dir(current), strings.TrimPrefix(raw, ":"))
	}
	clean := path.Clean(file)
	switch {
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", "share code between repositories as a library", fmt.Errorf("load of %q: the name leads out of %s", raw, rootOf(module))
	case strings.HasPrefix(clean, "/"):
		return "", "", fmt.Errorf("load of %q: a slash too many", raw)
	case !strings.HasSuffix(clean, ".star"):
		return "", "", fmt.Errorf("load of %q: only .star files are loaded", raw)
	}
	return joinName(module, clean), "", nil
}

func rootOf(module string) string {
	if module == "" {
		return "the repository"
	}
	return "@" + module
}
