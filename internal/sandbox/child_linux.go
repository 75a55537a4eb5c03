package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"fabgo/internal/sshd"
)

// The files that both stages are started with, after the standard three.
const (
	ordersFD = 3 + iota
	listenFD
	statusFD
)

// Child is what the binary runs when its first argument is [Command]; args
// are those after it. It returns when the sandbox is over.
func Child(args []string) error {
	for fd := ordersFD; fd <= statusFD; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || len(args) != 1 {
			return errors.New("sandbox-init is started by `-H @sandbox` and does nothing on its own")
		}
	}
	closeOnExec()
	status := os.NewFile(statusFD, "status")
	var err error
	switch args[0] {
	case "outer":
		err = outer(status)
	case "inner":
		err = inner(status)
	default:
		err = fmt.Errorf("unknown stage %q", args[0])
	}
	if err != nil {
		json.NewEncoder(status).Encode(report{Error: err.Error()})
	}
	return err
}

// closeOnExec keeps whatever the person's shell left open from the processes
// inside: a folder of the real machine among it would be a way out.
func closeOnExec() {
	open, _ := os.ReadDir("/proc/self/fd")
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= ordersFD {
			unix.CloseOnExec(fd)
		}
	}
}

// outer is process 1: it builds the new root, starts the inner stage in a
// user namespace of its own, and from then on only buries the dead. It keeps
// all the rights over the mounts, and nobody inside can reach it.
func outer(status *os.File) error {
	// The kernel drops a signal to process 1 that has no handler; the runtime
	// has some, and they would end it. (Ignoring them would be inherited.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	lifeline := os.NewFile(ordersFD, "orders")
	defer lifeline.Close() // and, until then, no finalizer
	orders := bufio.NewReader(lifeline)
	line, err := orders.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	var ord order
	if err := json.Unmarshal(line, &ord); err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	if !ord.Keep {
		// Parent-death signals follow the thread that forked, which Go may end
		// at any time; the end of this pipe comes exactly with the process.
		go func() {
			io.Copy(io.Discard, orders)
			os.Exit(0)
		}()
	}
	unix.Umask(0o022)
	resolver := readResolver()
	t, err := buildTree(!ord.Root)
	if err != nil {
		return err
	}
	if err := t.furnish(resolver); err != nil {
		return err
	}
	if err := enter(t.root); err != nil {
		return refused("change the root", err, ord.Root)
	}
	ord.Limits = append(ord.Limits, t.limits...)
	pid, err := startInner(ord, status)
	if err != nil {
		return err
	}
	status.Close()
	quiet()
	for {
		got, err := unix.Wait4(-1, nil, 0, nil)
		if got == pid || err != nil && err != unix.EINTR {
			return nil
		}
	}
}

// enter makes root the root and lets go of the old one.
func enter(root string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// startInner starts the second stage. Its user namespace has the same ids,
// but owns neither the mounts it sees nor the network nor the machine: the
// read-only parts cannot be made writable, device nodes, modules, clocks and
// interfaces are out of reach, while mounts and the host name of its own work.
func startInner(ord order, status *os.File) (int, error) {
	uids, err := sameIDs("/proc/self/uid_map")
	if err != nil {
		return 0, err
	}
	gids, err := sameIDs("/proc/self/gid_map")
	if err != nil {
		return 0, err
	}
	groups, _ := os.ReadFile("/proc/self/setgroups")
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	defer w.Close()
	// A pipe holds far more than an order.
	if err := json.NewEncoder(w).Encode(ord); err != nil {
		return 0, fmt.Errorf("hand on orders: %w", err)
	}
	listen := os.NewFile(listenFD, "listener")
	defer listen.Close()
	cmd := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{"fabgo", Command, "inner"},
		Env:        os.Environ(),
		Dir:        "/",
		Stderr:     status,
		ExtraFiles: []*os.File{r, listen, status},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
			UidMappings: uids, GidMappings: gids,
			GidMappingsEnableSetgroups: string(groups) == "allow\n",
		},
	}
	// The keys of the person's session (Kerberos and the like) stay outside: the
	// child inherits the keyring of the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.KeyctlJoinSessionKeyring("") // fails only where there are no keyrings
	if err := cmd.Start(); err != nil {
		return 0, refused("start the inner user namespace", err, ord.Root)
	}
	return cmd.Process.Pid, nil
}

// inner serves SSH until it is killed together with everything else.
func inner(status *os.File) error {
	orders := os.NewFile(ordersFD, "orders")
	var ord order
	err := json.NewDecoder(orders).Decode(&ord)
	orders.Close()
	if err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	if err := unix.Sethostname([]byte("sandbox")); err != nil {
		return fmt.Errorf("set the host name of the sandbox: %w", err)
	}
	unix.Umask(0o022)
	host, err := ssh.ParsePrivateKey([]byte(ord.HostKey))
	if err != nil {
		return fmt.Errorf("read host key: %w", err)
	}
	client, _, _, _, err := ssh.ParseAuthorizedKey([]byte(ord.ClientKey))
	if err != nil {
		return fmt.Errorf("read client key: %w", err)
	}
	file := os.NewFile(listenFD, "listener")
	listener, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("take over listener: %w", err)
	}
	file.Close()
	server, err := sshd.Start(sshd.Options{
		Listener: listener, HostKeys: []ssh.Signer{host}, AuthorizedKeys: []ssh.PublicKey{client},
		// Everything runs as root in here; whoever asks for another user is not to be fooled.
		AllowUser: func(user string) bool { return user == "root" },
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(status).Encode(report{Ready: true, Limits: ord.Limits}); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	status.Close()
	quiet()
	server.Wait()
	return nil
}

// quiet lets go of the status pipe that standard error was until now.
func quiet() {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return
	}
	unix.Dup3(int(null.Fd()), 2, 0)
	null.Close()
}
