package token

import (
	"fmt"
	"strings"
)

// nameLimit is how long the name of a secret may be.
const nameLimit = 100

// CheckName is the error of a name that no secret can have: it is that of a file, with folders before it or without.
func CheckName(name string) error {
	bad := len(name) > nameLimit
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || part == "" || strings.IndexByte("_.@+-", part[0]) >= 0
		for i := range len(part) {
			c := part[i]
			bad = bad || !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_.@+-", c) >= 0)
		}
	}
	if bad {
		return fmt.Errorf("%q is no name of a secret: letters, digits and _.@+- make one, with / between folders", name)
	}
	return nil
}
