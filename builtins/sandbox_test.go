package builtins

import (
	"context"
	"os"
	"testing"
	"time"

	"fabgo/internal/sandbox"
	"fabgo/transport/ssh"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.Command {
		if err := sandbox.Child(os.Args[2:]); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// newSandbox is a stage whose host is a sandbox of this machine, reached over SSH: a real system that a test may turn upside down.
func newSandbox(t *testing.T) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a sandbox in which any user can be made needs root")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	box, err := sandbox.Start(ctx, sandbox.Options{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	h, err := ssh.Dial(ctx, box.Addr, ssh.Options{User: box.User, Signer: box.Signer, HostKey: box.HostKey, Config: "none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return newStage(t, h)
}
