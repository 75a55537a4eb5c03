package ssh

import (
	"strings"
	"testing"
	"time"

	"fabgo/internal/sshd"
	"fabgo/transport"
)

func TestExecOutputs(t *testing.T) {
	h := serve(t, sshd.Options{}).dial(t)
	out := run(t, h, argv("sh", "-c", "echo out; echo err >&2; exit 7"))
	if out.Stdout != "out\n" || out.Stderr != "err\n" || out.Code != 7 {
		t.Errorf("%+v", out)
	}
	out = run(t, h, argv("sh", "-c", "kill -9 $$"))
	if out.Code != 137 || out.Signal != "KILL" {
		t.Errorf("%+v", out)
	}
	if _, err := h.Do(t.Context(), argv("no-such-program")); err == nil {
		t.Error("a missing program ran")
	} else {
		wantKind(t, err, transport.NotFound, "no-such-program")
	}
	out = run(t, h, argv("sh", "-c", "exit 127"))
	if out.Code != 127 {
		t.Errorf("%+v", out)
	}
	stdin := transport.String("hello\x00\xff")
	out = run(t, h, transport.Exec{Argv: transport.Texts("cat"), Stdin: &stdin})
	if out.Stdout != "hello\x00\xff" {
		t.Errorf("%q", out.Stdout)
	}
	out = run(t, h, argv("env"))
	if got := strings.Count(string(out.Stdout), "\n"); got != 6 {
		t.Errorf("environment: %s", out.Stdout)
	}
	out = run(t, h, transport.Exec{Argv: transport.Texts("sh", "-c", "echo $A; pwd"), Env: map[string]transport.Text{"A": "it's"}, Dir: "/usr"})
	if out.Stdout != "it's\n/usr\n" {
		t.Errorf("%q", out.Stdout)
	}
}

func TestTimeoutKillsTheGroup(t *testing.T) {
	h := serve(t, sshd.Options{}).dial(t)
	start := time.Now()
	_, err := h.Do(t.Context(), transport.Exec{Argv: transport.Texts("sh", "-c", "sleep 71.5 & sleep 71.5; wait"), Timeout: 300 * time.Millisecond})
	wantKind(t, err, transport.Timeout)
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %s", d)
	}
	if out := run(t, h, argv("sh", "-c", "ps ax | grep '[s]leep 71.5'")); out.Stdout != "" {
		t.Errorf("still there: %s", out.Stdout)
	}
}
