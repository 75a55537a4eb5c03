package ssh

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"fabgo/internal/machines"
	"fabgo/transport"
	"fabgo/transport/hosttest"
)

// TestMachine is what only a whole machine has: PAM, accounts, a service that restarts, file systems of its own.
func TestMachine(t *testing.T) {
	m := machines.Boot(t, 1)[0]
	isolate(t)
	as := func(user string) Options {
		return Options{Config: "none", User: user, Identities: []string{m.KeyFile}, KnownHosts: m.KnownHostsFile, HostKeys: StrictHostKey}
	}
	dial := func(t *testing.T, o Options) *Host {
		t.Helper()
		h, err := Dial(t.Context(), m.Addr, o)
		if err != nil {
			t.Fatal(explain(err))
		}
		t.Cleanup(func() { h.Close() })
		return h
	}
	deploy := as("deploy")
	deploy.Sudo = true
	pwuser := as("pwuser")
	pwuser.Sudo = true
	pwuser.SudoPassword = func(context.Context) ([]byte, error) { return []byte(machines.PasswordOfPwuser), nil }

	t.Run("accounts", func(t *testing.T) {
		for name, o := range map[string]Options{"root": as("root"), "deploy": deploy, "pwuser": pwuser} {
			if out := run(t, dial(t, o), argv("id", "-un")); out.Stdout != "root\n" {
				t.Errorf("%s: %+v", name, out)
			}
		}
	})
	t.Run("F23", func(t *testing.T) {
		for name, says := range map[string]string{
			"noshell": "not available", "locked": "closed the connection upon a good key", "expired": "Password change required",
		} {
			within(t, 20*time.Second, func() {
				_, err := Dial(t.Context(), m.Addr, as(name))
				wantKind(t, err, transport.Auth, says)
			})
		}
	})
	t.Run("nologin", func(t *testing.T) { // F23
		m.SSH(t, "echo 'closed for maintenance' > /etc/nologin")
		defer m.SSH(t, "rm /etc/nologin")
		_, err := Dial(t.Context(), m.Addr, as("deploy"))
		wantKind(t, err, transport.Auth, "closed for maintenance")
	})
	t.Run("wrong password", func(t *testing.T) { // F51
		o := pwuser
		asked := 0
		o.SudoPassword = func(context.Context) ([]byte, error) { asked++; return []byte("wrong"), nil }
		_, err := Dial(t.Context(), m.Addr, o)
		wantKind(t, err, transport.Escalation, "refuses the password")
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
	t.Run("file systems", func(t *testing.T) {
		m.SSH(t, "mkdir -p /srv/full /srv/ro && mount -t tmpfs -o size=1m none /srv/full && mount -t tmpfs none /srv/ro && echo old > /srv/ro/f && mount -o remount,ro /srv/ro")
		defer m.SSH(t, "umount /srv/full /srv/ro")
		h := dial(t, deploy)
		do := func(op transport.Op) error { _, err := h.Do(t.Context(), op); return err }
		big := transport.String(strings.Repeat("x", 4<<20))
		if err := do(transport.Write{Path: "/srv/full/f", Content: transport.String("old")}); err != nil {
			t.Fatal(explain(err))
		}
		wantKind(t, do(transport.Write{Path: "/srv/full/f", Content: big}), transport.NoSpace) // F39
		if out := run(t, h, argv("sh", "-c", "cat /srv/full/f; ls -A /srv/full")); out.Stdout != "oldf\n" {
			t.Errorf("%+v", out)
		}
		wantKind(t, do(transport.Write{Path: "/srv/ro/f", Content: transport.String("x")}), transport.ReadOnlyFS) // F41
		if m.SSH(t, "touch /srv/still && chattr +i /srv/still && echo yes || echo no") == "yes\n" {               // F43
			defer m.SSH(t, "chattr -i /srv/still && rm /srv/still")
			wantKind(t, do(transport.Write{Path: "/srv/still", Content: transport.String("x")}), transport.Denied, "immutable attribute set")
		} else {
			t.Log("the machine's disk has no immutable attribute")
		}
	})
	t.Run("restart of the server", func(t *testing.T) { // F04
		h := dial(t, deploy)
		out := run(t, h, transport.Exec{Argv: transport.Texts("sh", "-c", "systemctl restart ssh && echo survived"), Change: true})
		if out.Stdout != "survived\n" {
			t.Errorf("%+v", out)
		}
		run(t, h, argv("true"))
		run(t, dial(t, deploy), argv("true"))
	})
	t.Run("MaxStartups", func(t *testing.T) { // F18
		m.SSH(t, "printf 'MaxStartups 2:100:3\\n' > /etc/ssh/sshd_config.d/startups.conf && systemctl restart ssh")
		defer m.SSH(t, "rm /etc/ssh/sshd_config.d/startups.conf && systemctl restart ssh")
		o := as("root")
		o.Shared = &Shared{}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		errs := make(chan error, 20)
		for range 20 {
			wg.Go(func() {
				h, err := Dial(ctx, m.Addr, o)
				if err == nil {
					err = h.Close()
				}
				errs <- err
			})
		}
		wg.Wait()
		close(errs)
		var all []error
		for err := range errs {
			all = append(all, err)
		}
		if err := errors.Join(all...); err != nil {
			t.Error(err)
		}
	})
	t.Run("conformance", func(t *testing.T) {
		hosttest.Run(t, func(t *testing.T) hosttest.Target {
			m.SSH(t, "mkdir /srv/conformance")
			return hosttest.Target{Host: dial(t, deploy), Root: "/srv/conformance", AsRoot: true, Other: "nobody", Processes: true, Slow: true}
		})
	})
}
