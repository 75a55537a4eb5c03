package sandbox

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// order is what the parent tells process 1, over a pipe: keys have no
// business in arguments or the environment.
type order struct {
	HostKey   string // PEM
	ClientKey string // authorized_keys line
	Keep      bool
	Root      bool // made by root: one overlay, all ids
	Limits    []string
}

// report is what comes back once, over the status pipe.
type report struct {
	Ready  bool     `json:"ready"`
	Error  string   `json:"error,omitempty"`
	Limits []string `json:"limits,omitempty"`
}

// Start boots a sandbox, or joins the kept one of that name if it is alive.
// The context bounds the start only.
func Start(ctx context.Context, o Options) (*Sandbox, error) {
	if !o.Keep {
		sb, cmd, lifeline, err := boot(ctx, o)
		if err != nil {
			return nil, err
		}
		sb.stop = func() error {
			lifeline.Close()
			cmd.Process.Kill()
			// Process 1 is gone only when the kernel has ended all the others.
			cmd.Wait()
			return nil
		}
		return sb, nil
	}
	return startKept(ctx, o)
}

// boot starts a new sandbox. The lifeline is the write end of a pipe whose
// end of file ends a sandbox that is not kept.
func boot(ctx context.Context, o Options) (*Sandbox, *exec.Cmd, *os.File, error) {
	sb, ord, err := newKeys()
	if err != nil {
		return nil, nil, nil, err
	}
	self, err := sealedSelf(o.Self)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("start sandbox: %w", err)
	}
	defer self.Close()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, fmt.Errorf("start sandbox: %w", err)
	}
	defer listener.Close()
	sb.Addr = listener.Addr().String()
	listenFile, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("start sandbox: %w", err)
	}
	defer listenFile.Close()
	orders, lifeline, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("start sandbox: %w", err)
	}
	defer orders.Close()
	status, theirs, err := os.Pipe()
	if err != nil {
		lifeline.Close()
		return nil, nil, nil, fmt.Errorf("start sandbox: %w", err)
	}
	defer status.Close()

	ids := chooseIDs()
	ord.Keep, ord.Root, ord.Limits = o.Keep, ids.root, ids.limits
	cmd := &exec.Cmd{
		Path:       fmt.Sprintf("/proc/self/fd/%d", self.Fd()),
		Args:       []string{"fabgo", Command, "outer"},
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root"},
		Dir:        "/",
		Stderr:     theirs,
		ExtraFiles: []*os.File{orders, listenFile, theirs},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID,
			Setsid:     true, // Ctrl-C is for fabgo; it ends the sandbox when it is done with it
		},
	}
	ids.apply(cmd.SysProcAttr)
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		lifeline.Close()
		return nil, nil, nil, refusedNamespaces(err, ids)
	}
	fail := func(err error) (*Sandbox, *exec.Cmd, *os.File, error) {
		lifeline.Close()
		cmd.Process.Kill()
		cmd.Wait()
		return nil, nil, nil, err
	}
	// Whatever goes wrong or takes too long, killing process 1 ends the waits below.
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	if err := ids.mapRanges(ctx, cmd.Process.Pid); err != nil {
		return fail(fmt.Errorf("start sandbox: %w", err))
	}
	if err := json.NewEncoder(lifeline).Encode(ord); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fail(fmt.Errorf("start sandbox: %w", err))
	}
	rep, err := readReport(status)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fail(fmt.Errorf("start sandbox: %w", err))
	}
	sb.Limits = rep.Limits
	return sb, cmd, lifeline, nil
}

// readReport reads the one line of JSON that says how the start went. Any
// other line is the complaint of a process that died of something unforeseen.
func readReport(r io.Reader) (report, error) {
	var said strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var rep report
		if json.Unmarshal(lines.Bytes(), &rep) == nil {
			if !rep.Ready {
				return rep, errors.New(rep.Error)
			}
			return rep, nil
		}
		if said.Len() < 4096 {
			fmt.Fprintln(&said, lines.Text())
		}
	}
	return report{}, fmt.Errorf("its first process ended without a word: %s", strings.TrimSpace(said.String()))
}

// newKeys makes the two key pairs and fills in what the two sides need.
func newKeys() (*Sandbox, order, error) {
	host, hostPEM, err := newKey()
	if err != nil {
		return nil, order{}, err
	}
	client, _, err := newKey()
	if err != nil {
		return nil, order{}, err
	}
	return &Sandbox{User: "root", HostKey: host.PublicKey(), Signer: client},
		order{HostKey: hostPEM, ClientKey: string(ssh.MarshalAuthorizedKey(client.PublicKey()))}, nil
}

func newKey() (*keyPair, string, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("generate sandbox key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "fabgo sandbox")
	if err != nil {
		return nil, "", fmt.Errorf("encode sandbox key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, "", fmt.Errorf("use sandbox key: %w", err)
	}
	text := string(pem.EncodeToMemory(block))
	return &keyPair{signer, text}, text, nil
}

// keyPair is a signer that remembers its private key, for the state of a kept
// sandbox.
type keyPair struct {
	ssh.Signer
	pem string
}

// sealedSelf copies the binary into sealed memory. The sandbox is root inside
// and can open the executables of its own processes through /proc; a file of
// the real machine must not be what it finds there.
func sealedSelf(path string) (*os.File, error) {
	if path == "" {
		path = "/proc/self/exe"
	}
	from, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read own binary: %w", err)
	}
	defer from.Close()
	fd, err := unix.MemfdCreate("fabgo", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3, where all of them can be executed
		fd, err = unix.MemfdCreate("fabgo", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("copy own binary to memory: %w", err)
	}
	to := os.NewFile(uintptr(fd), "fabgo")
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		return nil, fmt.Errorf("copy own binary to memory: %w", err)
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(to.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		to.Close()
		return nil, fmt.Errorf("seal own binary in memory: %w", err)
	}
	return to, nil
}
