package builtins

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

func hostNatives() starlark.StringDict { return native("host.reboot", hostReboot) }

type rebootArgs struct {
	common
	OnlyIfRequired bool          `arg:"only_if_required"`
	Wait           time.Duration `arg:"wait"`
	Message        string        `arg:"message"`
}

func hostReboot(c *call, a rebootArgs) (starlark.Value, error) {
	if a.Wait <= 0 {
		return nil, fmt.Errorf("%s: wait: %s is no time in which a machine can restart", c.name, a.Wait)
	}
	ch, err := c.Session.Act(c.step, &reboot{call: c, args: a})
	if err != nil {
		return nil, err
	}
	return &Change{ch}, nil
}

// bootID changes with every boot: random(4).
const bootID transport.Path = "/proc/sys/kernel/random/boot_id"

// reboot restarts the machine. The op that does so is the last of the old boot; what follows it is asked of the new one.
type reboot struct {
	call *call
	args rebootArgs
}

func (r *reboot) Name() string { return "host:" + r.call.Session.Name }

func (r *reboot) Needed(ctx context.Context, h transport.Host) (bool, string, error) {
	if !r.args.OnlyIfRequired {
		return true, "", nil
	}
	// The one is where it is, the other where it was.
	for _, p := range []transport.Path{"/run/reboot-required", "/var/run/reboot-required"} {
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p})
		if err != nil {
			return false, "", err
		}
		if fi.Type != transport.Absent {
			return true, "", nil
		}
	}
	return false, "no package asks for it", nil
}

// Effect is opaque: a machine that starts anew may have other addresses, units and mounts.
func (r *reboot) Effect() converge.Effect { return converge.Effect{Opaque: true} }

func (r *reboot) Do(ctx context.Context, h transport.Host) error {
	before, err := readBootID(ctx, h)
	if err != nil {
		return err
	}
	if r.call.Rebooting == nil {
		return &transport.Error{Kind: transport.Unsupported, Message: "restart the host: it is the machine that fabgo was typed on, or a copy of it, and nobody would be left to go on",
			Hint: "run the bundle from another machine"}
	}
	if err := r.call.Rebooting(ctx, r.args.Wait); err != nil {
		return err
	}
	message := r.args.Message
	if message == "" {
		message = "fabgo restarts this machine"
	}
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts("shutdown", "-r", "now", message), Change: true})
	switch kind := transport.KindOf(err); {
	case kind == transport.Lost, kind == transport.Unreachable: // it was quick
	case err != nil:
		return err
	case out.Code != 0:
		return &converge.CommandError{Argv: []string{"shutdown", "-r", "now"}, Output: out, Hint: "only root restarts a machine"}
	}
	return r.await(ctx, h, before)
}

// await asks until the machine shows another boot id. While it is down there is no answer, which is none either.
func (r *reboot) await(ctx context.Context, h transport.Host, before string) error {
	const pause = 2 * time.Second
	for left := r.args.Wait; ; left -= pause {
		now, err := readBootID(ctx, h)
		switch kind := transport.KindOf(err); {
		case err == nil && now != before:
			return nil
		case err == nil, kind == transport.Unreachable, kind == transport.Timeout: // still, or not yet
		default:
			return err
		}
		if left <= 0 {
			state := "it has not restarted: its boot id is the same"
			if err != nil {
				state = "it does not answer: " + err.Error()
			}
			return &transport.Error{Kind: transport.Unreachable, Message: fmt.Sprintf("restart the machine: after %s %s", r.args.Wait, state),
				Hint: "wait = gives it more time; its console tells what keeps it", Err: err}
		}
		if r.call.Sleep != nil {
			if err := r.call.Sleep(pause); err != nil {
				return err
			}
		}
	}
}

func readBootID(ctx context.Context, h transport.Host) (string, error) {
	d, err := transport.Do[transport.Data](ctx, h, transport.Read{Path: bootID})
	if err != nil {
		return "", err
	}
	b, err := d.Content.ReadAll(transport.ReadLimit)
	return strings.TrimSpace(string(b)), err
}
