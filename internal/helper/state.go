package helper

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"

	"fabgo/internal/journal"
)

// RootState is where fabgo keeps what belongs to a host: locks, journals of its runs, unsettled changes.
const RootState = "/var/lib/fabgo"

// keepRuns is how many runs stay on the target. The controller keeps all of its own.
const keepRuns = 20

// state is the folder of the acting user's fabgo on this machine.
type state string

// StateEnv is the variable of the environment that moves the folder, for hosts that have no place there, and for tests.
const StateEnv = "FABGO_STATE_DIR"

// stateDir is RootState for root, ~/.local/state/fabgo for everybody else. The home is the account's, whatever the environment says: sudo
// leaves the wrong one there.
func stateDir() (state, error) {
	if d := os.Getenv(StateEnv); filepath.IsAbs(d) {
		return state(filepath.Clean(d)), nil
	} else if d != "" {
		return "", fmt.Errorf("find fabgo's folder on the host: %s is %q, which is not absolute", StateEnv, d)
	}
	if os.Geteuid() == 0 {
		return RootState, nil
	}
	me, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("find the home of the acting user: %w", err)
	}
	return state(filepath.Join(me.HomeDir, ".local", "state", "fabgo")), nil
}

// open makes the folder where it is missing. It must belong to the acting user and to nobody else.
func (s state) open() error {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return fmt.Errorf("make fabgo's folder on the host: %w", err)
	}
	st, err := os.Lstat(string(s))
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is not a folder", s)
	}
	if owner, ok := ownerOf(st); ok && owner != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, not to the one that fabgo acts as (%d): remove it, or give it back", s, owner, os.Geteuid())
	}
	if st.Mode().Perm()&0o077 != 0 {
		return os.Chmod(string(s), 0o700)
	}
	return nil
}

// memory is where a host remembers what is unsettled: the folder of converge's ledger.
func (s state) memory() string { return filepath.Join(string(s), "state") }

// Memory is that folder where StateEnv has moved it, else "".
func Memory(moved string) string {
	if moved == "" {
		return ""
	}
	return state(moved).memory()
}

func (s state) lock() string         { return filepath.Join(string(s), "lock") }
func (s state) holder() string       { return filepath.Join(string(s), "holder.json") }
func (s state) files() string        { return filepath.Join(string(s), "files") }
func (s state) crashes() string      { return filepath.Join(string(s), "crash.log") }
func (s state) store() journal.Store { return journal.Store{Dir: filepath.Join(string(s), "runs")} }
func (s state) socket(run string) string {
	return filepath.Join(string(s), "runs", run, "socket")
}
