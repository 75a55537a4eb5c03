// Package bundles holds what fabgo brings along in Starlark: @fab, the library inside the binary, and the example bundles.
//
// The one rule: @fab is written with the public builtins only, so that it is an example of how a shared library is written.
package bundles

import (
	"embed"
	"io/fs"
)

//go:embed fab
var files embed.FS

// Fab is the library that bundles load as "@fab//NAME.star".
func Fab() fs.FS {
	sub, err := fs.Sub(files, "fab")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}
