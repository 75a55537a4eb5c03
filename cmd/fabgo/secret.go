package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fabgo/internal/report"
	"fabgo/internal/secrets"
	"fabgo/internal/vault"
	"fabgo/interp"
)

func (e *env) secretCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Keep the secrets of a repository: secrets/*.age, encrypted for the team",
		Long: `Secrets are files of the repository, secrets/NAME.age, encrypted with age for the public keys in
secrets/recipients: age1... or SSH keys, one a line. A bundle reads them by secret("NAME").

They are decrypted with the private keys of ~/.config/fabgo/identity, ~/.config/age/keys.txt,
~/.ssh/id_ed25519 and ~/.ssh/id_rsa, or of the files that FABGO_AGE_IDENTITY names.`,
		Args: takes(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&dir, "repository", ".", "a `FOLDER` of the repository")
	cmd.AddCommand(e.secretSet(&dir), e.secretGet(&dir), e.secretEdit(&dir), e.secretList(&dir), e.secretRekey(&dir))
	return cmd
}

// opensVault is the vault of the repository that a folder belongs to.
func (e *env) opensVault(dir string) (*vault.Vault, *prompter, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	if st, err := os.Stat(abs); err != nil || !st.IsDir() {
		return nil, nil, usage("--repository: %s is no folder", dir)
	}
	root := cmp.Or(interp.Root(abs), abs)
	p := e.prompter()
	return e.vault(root, p), p, nil
}

func (e *env) secretSet(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "set NAME",
		Short: "Store a secret: typed twice at the terminal, or from standard input",
		Args:  takes(1, 1, "the name of the secret"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, p, err := e.opensVault(*dir)
			if err != nil {
				return err
			}
			if _, err := v.Recipients(); err != nil { // before anything is typed
				return invalid(err)
			}
			value, err := e.typed(cmd, p, args[0])
			if err != nil {
				return err
			}
			if err := v.Set(args[0], value); err != nil {
				return invalid(err)
			}
			if len(value) < secrets.Shortest {
				fmt.Fprintf(e.Stderr, "it has less than %d bytes and cannot be hidden where a host prints it; bundles may use it with `%s: {short: true}` in %s\n",
					secrets.Shortest, args[0], v.SourcesFile())
			}
			return nil
		},
	}
}

// typed is a secret as somebody gives it: without the end of its last line.
func (e *env) typed(cmd *cobra.Command, p *prompter, name string) ([]byte, error) {
	if !stdinIsTerminal(e.Stdin) {
		b, err := io.ReadAll(io.LimitReader(e.Stdin, secrets.Limit+2))
		return bytes.TrimSuffix(b, []byte("\n")), err
	}
	if p == nil {
		return nil, usage("there is no terminal to type it at: give it on standard input")
	}
	one, err := p.Password(cmd.Context(), name+":")
	if err != nil {
		return nil, err
	}
	two, err := p.Password(cmd.Context(), "again:")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(one, two) {
		return nil, usage("the two are not the same: nothing was stored")
	}
	return one, nil
}

func stdinIsTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && report.IsTerminal(f)
}

func (e *env) secretGet(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "get NAME",
		Short: "Print a secret, exactly",
		Args:  takes(1, 1, "the name of the secret"),
		RunE: func(_ *cobra.Command, args []string) error {
			v, _, err := e.opensVault(*dir)
			if err != nil {
				return err
			}
			b, err := v.Get(args[0])
			if err != nil {
				if b, err = v.Stored(args[0]); err != nil {
					return invalid(err)
				}
			}
			if report.IsTerminal(e.Stdout) && !bytes.HasSuffix(b, []byte("\n")) {
				b = append(bytes.Clone(b), '\n')
			}
			_, err = e.Stdout.Write(b)
			return err
		},
	}
}

func (e *env) secretEdit(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "edit NAME",
		Short: "Edit a secret with $EDITOR",
		Args:  takes(1, 1, "the name of the secret"),
		RunE: func(_ *cobra.Command, args []string) error {
			v, _, err := e.opensVault(*dir)
			if err != nil {
				return err
			}
			if _, err := v.Recipients(); err != nil {
				return invalid(err)
			}
			var was []byte
			if v.Has(args[0]) == nil {
				if was, err = v.Stored(args[0]); err != nil {
					return invalid(err)
				}
			}
			is, err := e.edited(was)
			if err != nil {
				return err
			}
			if bytes.Equal(is, was) {
				fmt.Fprintln(e.Stderr, "it is as it was")
				return nil
			}
			if err := v.Set(args[0], is); err != nil {
				return invalid(err)
			}
			return nil
		},
	}
}

// edited is a text as somebody leaves it in an editor. The file is in memory where the system has such a place, and its folder is this user's
// alone.
func (e *env) edited(text []byte) (out []byte, err error) {
	editor := e.Getenv("VISUAL")
	if editor == "" {
		editor = e.Getenv("EDITOR")
	}
	if editor == "" {
		return nil, usage("no editor is set: EDITOR names one")
	}
	place := ""
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		place = "/dev/shm"
	}
	dir, err := os.MkdirTemp(place, "fabgo-secret-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	argv := []string{"/bin/sh", "-c", editor + ` "$1"`, "sh", file} // EDITOR may have arguments
	if runtime.GOOS == "windows" {
		argv = append(strings.Fields(editor), file)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.Stdin, e.Stdout, e.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: the secret is as it was", editor, err)
	}
	b, err := os.ReadFile(file)
	if !bytes.HasSuffix(text, []byte("\n")) { // editors add it
		b = bytes.TrimSuffix(b, []byte("\n"))
	}
	return b, err
}

func (e *env) secretList(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the secrets, and where they come from",
		Args:  takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			v, _, err := e.opensVault(*dir)
			if err != nil {
				return err
			}
			names, err := v.Names()
			if err != nil {
				return invalid(err)
			}
			w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
			for _, n := range names {
				fmt.Fprintf(w, "%s\t%s\n", report.Escape(n), report.Escape(v.From(n)))
			}
			return w.Flush()
		},
	}
}

func (e *env) secretRekey(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "rekey",
		Short: "Encrypt all secrets anew, for those who are in secrets/recipients now",
		Long: `Rekey encrypts all secrets anew, for those who are in secrets/recipients now. Unless all of them can
be decrypted, none is written. Who was taken off the list has seen the secrets, and has them in
the history of the repository: change them where they are used, too.`,
		Args: takes(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			v, _, err := e.opensVault(*dir)
			if err != nil {
				return err
			}
			done, err := v.Rekey()
			if err != nil {
				return invalid(err)
			}
			fmt.Fprintf(e.Stderr, "%d secrets are encrypted for the keys of %s\n", len(done), v.RecipientsFile())
			return nil
		},
	}
}
