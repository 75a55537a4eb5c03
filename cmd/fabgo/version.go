package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func (e *env) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  takes(0, 0, ""),
		RunE:  func(*cobra.Command, []string) error { return e.printVersion() },
	}
}

func (e *env) printVersion() error {
	_, err := fmt.Fprintf(e.Stdout, "fabgo %s %s %s/%s\n", e.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
