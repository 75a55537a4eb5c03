package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"fabgo/internal/sandbox"
)

func (e *env) sandboxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Manage the sandbox that --keep keeps",
		Long: `The host @sandbox is a copy of this machine in which a bundle can do what it likes: fabgo starts
it with the command and it vanishes with it. With --keep it stays for the next command.`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "remove",
		Short: "End the kept sandbox and forget what was done in it",
		Args:  takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			dir, err := e.state()
			if err != nil {
				return err
			}
			if err := sandbox.Remove(sandbox.Options{StateDir: filepath.Join(dir, "sandbox")}); err != nil {
				return &exit{code: exitFailed, err: err}
			}
			return nil
		},
	})
	return cmd
}
