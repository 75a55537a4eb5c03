package main

import (
	"context"
	"io/fs"
	"maps"
	"path/filepath"
	"time"

	"go.starlark.net/starlark"

	"fabgo/builtins"
	"fabgo/bundles"
	"fabgo/internal/controller"
	"fabgo/internal/converge"
	"fabgo/internal/journal"
)

// All stacks of hosts stand here, outermost first (the overlay of a plan is laid by converge.New). What stands behind || is in another
// process, across a pipe or a connection:
//
//	plan, run       session > overlay > recorder || secrets > controller > host
//	beside the host session > overlay > recorder || secrets > asks > local     || controller
//	replay          session > recorder > journal

// controller answers for the machine where fabgo was typed.
func (e *env) controller(o *opened) *controller.Controller {
	libraries := map[string]fs.FS{}
	if o.shared != nil {
		maps.Copy(libraries, o.shared.Used())
	}
	libraries["fab"] = bundles.Fab()
	return &controller.Controller{
		Root:      o.bundle.Root(),
		Override:  filepath.Join(filepath.Dir(o.absolute()), "override"),
		Libraries: libraries,
		Now:       e.Now, AbsolutePaths: true,
	}
}

// playAgain makes the session of a bundle over a journal.
func (e *env) playAgain(o *opened, then journal.Start, info converge.Info, vars map[string]starlark.Value, from *journal.Replay) builtins.Play {
	return builtins.Play{
		Interp: o.in, Bundle: o.bundle, Tasks: o.tasks, Vars: vars, Mode: then.Mode, Info: info,
		Recorder: journal.NewRecorder(info.Name, from, e.Now, from), Replaying: true, Rebooting: func(context.Context, time.Duration) error { return nil },
		Start: journal.Start{Run: then.Run}, Ledger: converge.ReplayLedger{Start: then, Unkept: from.Unkept},
	}
}
