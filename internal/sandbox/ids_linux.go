package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// idPlan says which user and group ids exist in the sandbox.
type idPlan struct {
	root       bool      // we are root: the machine's own ids, no outer user namespace
	uids, gids [2]string // start and length of the subordinate ranges; empty for none
	limits     []string
}

// chooseIDs picks the best that this user can have: all ids as root, a range
// with the help of newuidmap, or only one.
func chooseIDs() idPlan {
	if os.Geteuid() == 0 {
		return idPlan{root: true}
	}
	plan := idPlan{limits: []string{
		"not run as root: files of the real machine that were not copied belong to nobody in here; they can be read and replaced, not changed in place",
	}}
	uids, okU := subordinate("/etc/subuid", strconv.Itoa(os.Getuid()))
	gids, okG := subordinate("/etc/subgid", strconv.Itoa(os.Getuid()))
	if okU && okG && installed("newuidmap") && installed("newgidmap") {
		plan.uids, plan.gids = uids, gids
		return plan
	}
	plan.limits = append(plan.limits,
		"only the ids of root exist in here, so chown to others fails; as root, or with the package uidmap and a range in /etc/subuid and /etc/subgid, they exist")
	return plan
}

func (p idPlan) ranges() bool { return p.uids[0] != "" }

// subordinate finds a user's first range of at least 65536 ids.
func subordinate(file, uid string) (r [2]string, ok bool) {
	f, err := os.Open(file)
	if err != nil {
		return r, false
	}
	defer f.Close()
	name := uid
	if u, err := user.LookupId(uid); err == nil {
		name = u.Username
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(fields) != 3 || fields[0] != name && fields[0] != uid {
			continue
		}
		if n, err := strconv.Atoi(fields[2]); err == nil && n >= 65536 {
			return [2]string{fields[1], fields[2]}, true
		}
	}
	return r, false
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// apply adds the user namespace to the attributes of process 1.
func (p idPlan) apply(a *syscall.SysProcAttr) {
	if p.root {
		return
	}
	a.Cloneflags |= unix.CLONE_NEWUSER
	if p.ranges() {
		// Nobody is mapped until newuidmap was there, and a process executed
		// without being root keeps only ambient capabilities.
		for c := uintptr(0); c <= lastCapability(); c++ {
			a.AmbientCaps = append(a.AmbientCaps, c)
		}
		return
	}
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
}

func lastCapability() uintptr {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			return uintptr(n)
		}
	}
	return unix.CAP_LAST_CAP
}

// mapRanges asks the set-user-id helpers of the system to map a range.
func (p idPlan) mapRanges(ctx context.Context, pid int) error {
	if !p.ranges() {
		return nil
	}
	for _, m := range []struct {
		program string
		self    int
		r       [2]string
	}{{"newuidmap", os.Getuid(), p.uids}, {"newgidmap", os.Getgid(), p.gids}} {
		cmd := exec.CommandContext(ctx, m.program, strconv.Itoa(pid), "0", strconv.Itoa(m.self), "1", "1", m.r[0], m.r[1])
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("map ids with %s: %w: %s", m.program, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// sameIDs reads this process's map and gives the map of a child namespace in
// which the same ids exist.
func sameIDs(file string) ([]syscall.SysProcIDMap, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read id map: %w", err)
	}
	var maps []syscall.SysProcIDMap
	for line := range strings.Lines(string(b)) {
		var inside, outside, size int
		if _, err := fmt.Sscan(line, &inside, &outside, &size); err != nil {
			return nil, fmt.Errorf("read id map %s: %w", file, err)
		}
		maps = append(maps, syscall.SysProcIDMap{ContainerID: inside, HostID: inside, Size: size})
	}
	return maps, nil
}
