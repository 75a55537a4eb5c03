package builtins

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
)

// cronField is one of the five times of a line of crontab(5).
type cronField struct {
	name     string
	min, max int
	words    []string // names of the values from min on
}

var cronFields = []cronField{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"weekday", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

var cronSpecials = []string{"reboot", "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"}

// cronTimes are the five times of a line, or the one word in their place.
func cronTimes(values [5]starlark.Value, special *string) (string, error) {
	if special != nil {
		word := strings.TrimPrefix(*special, "@")
		if !slices.Contains(cronSpecials, word) {
			return "", fmt.Errorf("special: got %q, want one of @%s", *special, strings.Join(cronSpecials, ", @"))
		}
		for i, v := range values {
			if v != nil {
				return "", fmt.Errorf("special: %q says when; leave %s out", *special, cronFields[i].name)
			}
		}
		return "@" + word, nil
	}
	var words []string
	for i, v := range values {
		f := cronFields[i]
		var text string
		switch v := v.(type) {
		case nil:
			text = "*"
		case starlark.Int:
			text = v.String()
		case starlark.String:
			text = string(v)
		default:
			return "", fmt.Errorf("%s: %w", f.name, mismatch(v, "a number, or a text such as \"*/5\", \"1-5\" or \"0,30\""))
		}
		if err := f.check(text); err != nil {
			return "", fmt.Errorf("%s: %w", f.name, err)
		}
		words = append(words, text)
	}
	return strings.Join(words, " "), nil
}

// check refuses what cron would not read, or would never find true.
func (f cronField) check(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		span, step, stepped := strings.Cut(part, "/")
		if stepped {
			n, err := strconv.Atoi(step)
			if err != nil || n < 1 || n > f.max {
				return fmt.Errorf("got %q: the step %q is no number from 1 to %d", text, step, f.max)
			}
		}
		if span == "*" {
			continue
		}
		low, high, ranged := strings.Cut(span, "-")
		if stepped && !ranged {
			return fmt.Errorf("got %q: a step follows \"*\" or a range, such as \"*/%s\"", text, step)
		}
		from, err := f.value(text, low)
		if err != nil {
			return err
		}
		if !ranged {
			continue
		}
		to, err := f.value(text, high)
		if err != nil {
			return err
		}
		if from > to {
			return fmt.Errorf("got %q: the range %s runs backwards", text, span)
		}
	}
	return nil
}

func (f cronField) value(text, s string) (int, error) {
	if i := slices.Index(f.words, strings.ToLower(s)); i >= 0 {
		return f.min + i, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < f.min || n > f.max || strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		want := fmt.Sprintf("numbers from %d to %d", f.min, f.max)
		if f.words != nil {
			want += fmt.Sprintf(" or names such as %q", f.words[1])
		}
		return 0, fmt.Errorf("got %q: %q is not among %s", text, s, want)
	}
	return n, nil
}
