package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fabgo/interp"
)

// takes says how many words a command takes; want names the first that is missing.
func takes(least, most int, want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("%s needs %s", cmd.CommandPath(), want)
		case most >= 0 && len(args) > most:
			if cmd.HasAvailableSubCommands() {
				return unknown(cmd, args[most])
			}
			return usage("%s: %q is too much: it takes %s", cmd.CommandPath(), args[most], words(most, want))
		}
		return nil
	}
}

func words(n int, want string) string {
	if n == 0 {
		return "flags only"
	}
	return want
}

// unknown says that a command is not there, and which one was meant.
func unknown(parent *cobra.Command, word string) error {
	var names []string
	for _, c := range parent.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	hint := fmt.Sprintf("%s --help lists them", parent.CommandPath())
	if s := interp.Nearest(word, names); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	return usage("there is no command %q (%s)", parent.CommandPath()+" "+word, hint)
}

// flagError says what is wrong with a flag in words of our own.
func flagError(cmd *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var none *pflag.NotExistError
	switch {
	case errors.As(err, &value):
		f := value.GetFlag()
		return usage("--%s %s: want %s", f.Name, value.GetValue(), wanted(f))
	case errors.As(err, &missing):
		f := missing.GetFlag()
		return usage("--%s: the value is missing: want %s", f.Name, wanted(f))
	case errors.As(err, &none):
		if s := none.GetSpecifiedShortnames(); s != "" {
			return usage("there is no flag -%s", none.GetSpecifiedName())
		}
		return usage("there is no flag --%s%s", none.GetSpecifiedName(), nearFlag(cmd, none.GetSpecifiedName()))
	}
	return usage("%s", strings.TrimPrefix(err.Error(), "pflag: "))
}

// nearFlag names the flag that was meant, if it is near enough.
func nearFlag(cmd *cobra.Command, name string) string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := interp.Nearest(name, names); near != "" {
		return fmt.Sprintf(" (did you mean --%s?)", near)
	}
	return ""
}

// wanted is what a flag takes.
func wanted(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int", "count":
		return "a whole number"
	case "duration":
		return "a time with its unit, such as 30s or 5m"
	case "bool":
		return "true or false"
	}
	name, _ := pflag.UnquoteUsage(f)
	return strings.ToUpper(name)
}
