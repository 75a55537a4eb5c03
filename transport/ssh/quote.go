package ssh

import (
	"fmt"
	"strings"
)

// shellWord is s as one word of a POSIX shell: the one place where data becomes part of a script. s must not hold NUL, which no
// argument of a program can hold.
func shellWord(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=,@%+", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellWords quotes an argument vector.
func shellWords[S ~string](args []S) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = shellWord(string(a))
	}
	return strings.Join(words, " ")
}

// loginCommand is a command line that runs script in /bin/sh whatever the account's login shell is, which is handed the line: a
// relative of the Bourne shell, of the C shell (where a newline or ! breaks a quoted word) or fish (where backslashes do). So the
// only quoting it relies on is that of a word without any of them.
func loginCommand(script string) string {
	var b strings.Builder
	b.WriteString(`exec /bin/sh -c 'eval "$(printf %b "`)
	for i := range len(script) {
		c := script[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(" _-./:=,@+<>()[]{};|&", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\0%03o`, c)
		}
	}
	b.WriteString(`")"'`)
	return b.String()
}
