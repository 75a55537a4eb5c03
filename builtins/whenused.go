package builtins

import (
	"regexp"
	"sync"
)

// whenUsed is a regular expression that is compiled when it is first used. Compiled as variables, those of this package cost every start of
// fabgo a tenth of a millisecond, three times over when the evaluation lies beside the host.
func whenUsed(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
