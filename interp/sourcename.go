package interp

import (
	"fmt"
	"path"
	"strings"
)

// ResolveSource is the canonical name of a file that is not loaded but used (src = ...), as the .star file from names it: relative to
// that file, "//path" from the root of its repository, "@library//path", or, as it stands, an absolute path of the controller.
func ResolveSource(from, src string) (string, error) {
	switch {
	case src == "":
		return "", fmt.Errorf("the name of the file is empty")
	case strings.IndexByte(src, 0) >= 0:
		return "", fmt.Errorf("%q holds a NUL byte", src)
	}
	module, current := splitName(from)
	file := ""
	switch {
	case strings.HasPrefix(src, "@"):
		var ok bool
		if module, file, ok = strings.Cut(src[1:], "//"); !ok || module == "" {
			return "", fmt.Errorf(`%q: the name of a library's file is "@library//path"`, src)
		}
	case strings.HasPrefix(src, "//"):
		file = src[2:]
	case strings.HasPrefix(src, "/"):
		return path.Clean(src), nil
	default:
		file = path.Join(path.Dir(current), src)
	}
	clean := path.Clean(file)
	if clean == ".." || strings.HasPrefix(clean, "../") || strings.HasPrefix(clean, "/") {
		return "", fmt.Errorf("%q leads out of %s", src, rootOf(module))
	}
	return joinName(module, clean), nil
}
