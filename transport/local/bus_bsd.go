//go:build darwin || freebsd

package local

import (
	"context"

	"fabgo/transport/tables"
)

// bus is nothing here: there is no systemd.
type bus struct{}

func (bus) close() error { return nil }

func (source) ShowUnits(context.Context, []string) ([]map[string]string, bool, error) {
	return nil, false, tables.NoSystemd()
}

func (source) UnitNames(context.Context) ([]string, bool, error) {
	return nil, false, tables.NoSystemd()
}
