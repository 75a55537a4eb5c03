package builtins

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// accountName refuses what useradd and the files under /etc cannot hold.
func accountName(what, name string) error {
	if name == "" || len(name) > 32 || strings.ContainsAny(name, ":,/\n\x00 ") || name[0] == '-' || strings.Trim(name, "0123456789") == "" {
		return fmt.Errorf("%s: %q is no name of a user or group", what, name)
	}
	return nil
}

// row looks up one row of a table; ok is false where there is none.
func row(ctx context.Context, h transport.Host, t transport.Table, key string) (map[string]transport.Text, bool, error) {
	res, err := transport.Do[transport.Rows](ctx, h, transport.Lookup{Table: t, Keys: []transport.Text{transport.Text(key)}})
	if err != nil {
		return nil, false, err
	}
	if len(res.Rows) == 0 {
		return nil, false, nil
	}
	return res.Rows[0].Fields, true, nil
}

// names joins names as the columns of tables do: sorted, each once, by commas.
func names(lists ...[]string) transport.Text {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return transport.Text(strings.Join(slices.Compact(all), ","))
}

func split(t transport.Text) []string {
	if t == "" {
		return nil
	}
	return strings.Split(string(t), ",")
}

// change runs a command that changes the host; hint is for the error when it fails.
func change(ctx context.Context, h transport.Host, hint string, stdin *transport.Content, argv ...string) error {
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(argv...), Stdin: stdin, Change: true})
	if err != nil {
		return err
	}
	if out.Code != 0 {
		return &converge.CommandError{Argv: argv, Output: out, Hint: hint}
	}
	return nil
}
