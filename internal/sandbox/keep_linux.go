package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// kept is the state of a kept sandbox, in a file that only its owner may read.
type kept struct {
	Pid       int      `json:"pid"`
	Started   string   `json:"started"` // in clock ticks since boot, from /proc/PID/stat
	Boot      string   `json:"boot"`    // the boot in which that was
	Addr      string   `json:"addr"`
	HostKey   string   `json:"host_key"`
	ClientKey string   `json:"client_key"` // the private one
	Limits    []string `json:"limits,omitempty"`
}

// startKept joins the kept sandbox of a name, or boots one and keeps it.
func startKept(ctx context.Context, o Options) (*Sandbox, error) {
	dir, unlock, err := o.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if k, err := readKept(dir); err == nil && k.alive() {
		return k.join()
	}
	sb, cmd, lifeline, err := boot(ctx, o)
	if err != nil {
		return nil, err
	}
	lifeline.Close()
	k := kept{
		Pid: cmd.Process.Pid, Started: startTime(cmd.Process.Pid), Boot: bootID(), Addr: sb.Addr,
		HostKey: string(ssh.MarshalAuthorizedKey(sb.HostKey)), ClientKey: sb.Signer.(*keyPair).pem, Limits: sb.Limits,
	}
	if err := k.write(dir); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, err
	}
	go cmd.Wait() // whoever removes it while this process lives must not find a zombie
	return sb, nil
}

// Remove ends a kept sandbox and forgets it. One that does not exist is gone
// already.
func Remove(o Options) error {
	dir, unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	k, err := readKept(dir)
	if err == nil && k.alive() {
		if err := k.kill(); err != nil {
			return fmt.Errorf("remove sandbox %s: %w", filepath.Base(dir), err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove sandbox: %w", err)
	}
	return nil
}

// lock finds the folder of a kept sandbox and holds it against other commands.
func (o Options) lock() (dir string, unlock func(), err error) {
	name := o.Name
	if name == "" {
		name = "default"
	}
	if strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\x00") {
		return "", nil, fmt.Errorf("keep sandbox: %q is no name: it becomes a folder, so it may have no slash and not begin with a dot", name)
	}
	state := o.StateDir
	if state == "" {
		base := os.Getenv("XDG_STATE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", nil, fmt.Errorf("keep sandbox: %w", err)
			}
			base = filepath.Join(home, ".local", "state")
		}
		state = filepath.Join(base, "fabgo", "sandbox")
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return "", nil, fmt.Errorf("keep sandbox: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(state, "."+name+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("keep sandbox: %w", err)
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return "", nil, fmt.Errorf("lock sandbox %s: %w", name, err)
	}
	return filepath.Join(state, name), func() { f.Close() }, nil
}

func readKept(dir string) (*kept, error) {
	b, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil {
		return nil, err
	}
	k := new(kept)
	if err := json.Unmarshal(b, k); err != nil {
		return nil, fmt.Errorf("read sandbox state: %w", err)
	}
	return k, nil
}

func (k *kept) write(dir string) error {
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep sandbox: %w", err)
	}
	temp := filepath.Join(dir, "state.json.new")
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep sandbox: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(dir, "state.json")); err != nil {
		return fmt.Errorf("keep sandbox: %w", err)
	}
	return nil
}

// alive says whether the process is still the one that was started: a pid
// alone may long belong to another.
func (k *kept) alive() bool {
	return k.Boot == bootID() && k.Started != "" && startTime(k.Pid) == k.Started
}

func (k *kept) join() (*Sandbox, error) {
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k.HostKey))
	if err != nil {
		return nil, fmt.Errorf("join kept sandbox: read host key: %w", err)
	}
	client, err := ssh.ParsePrivateKey([]byte(k.ClientKey))
	if err != nil {
		return nil, fmt.Errorf("join kept sandbox: read client key: %w", err)
	}
	return &Sandbox{Addr: k.Addr, User: "root", HostKey: host, Signer: client, Limits: k.Limits, Rejoined: true}, nil
}

// kill ends process 1 and returns when it, and with it the rest, is gone.
func (k *kept) kill() error {
	fd, err := unix.PidfdOpen(k.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !k.alive() { // the pid was free for a moment before it was opened
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return err
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
		if err != unix.EINTR {
			return err
		}
	}
}

// startTime is field 22 of /proc/PID/stat; empty when there is no such
// process, or only its zombie.
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name in parentheses may itself hold blanks and parentheses.
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
