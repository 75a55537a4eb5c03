package interp

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
)

// Nearest is the candidate most like x, or "" when none is like it enough to be worth saying. Case, underscores and
// dashes do not count. Among equals the one that begins alike wins (fil is file, not fail), then the first in alphabetical
// order, so that messages do not vary.
func Nearest(x string, candidates []string) string {
	if len(x) > 64 {
		return "" // nobody's typo
	}
	fold := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '_' || r == '-' {
				return -1
			}
			return unicode.ToLower(r)
		}, s)
	}
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	want := fold(x)
	best, bestDistance := "", (len(want)+1)/2
	if bestDistance > 3 {
		bestDistance = 4
	}
	for _, c := range sorted {
		if c == x || len(c) > 64 {
			continue
		}
		d := editDistance(want, fold(c))
		if d < bestDistance || d == bestDistance && best != "" && commonPrefix(want, fold(c)) > commonPrefix(want, fold(best)) {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		// "pkg.inst" for "install": an unfinished word is closer than its distance says.
		for _, c := range sorted {
			if len(want) >= 3 && c != x && strings.HasPrefix(fold(c), want) {
				return c
			}
		}
	}
	return best
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours.
func editDistance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// didYouMean is ` (did you mean "x"?)`, or nothing.
func didYouMean(x string, candidates []string) string {
	if n := Nearest(x, candidates); n != "" {
		return fmt.Sprintf(" (did you mean %q?)", n)
	}
	return ""
}
