package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// mountPoint is one line of /proc/self/mountinfo.
type mountPoint struct {
	path string
	kind string // the file system's type
}

// mountPoints lists what is mounted, each path once, parents before children.
func mountPoints() ([]mountPoint, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return parseMounts(string(b))
}

func parseMounts(text string) ([]mountPoint, error) {
	top := map[string]mountPoint{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 6 || dash+1 >= len(fields) {
			return nil, fmt.Errorf("list mounts: strange line %q", line)
		}
		path := unescapeMount(fields[4])
		// A later line covers an earlier one of the same path.
		top[path] = mountPoint{path: path, kind: fields[dash+1]}
	}
	mounts := make([]mountPoint, 0, len(top))
	for _, m := range top {
		mounts = append(mounts, m)
	}
	slices.SortFunc(mounts, func(a, b mountPoint) int { return strings.Compare(a.path, b.path) })
	return mounts, nil
}

// unescapeMount undoes the kernel's \040 for blanks and the like.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// own are the top-level folders that a sandbox makes anew.
var own = []string{"/proc", "/sys", "/dev", "/run", "/tmp"}

// within says whether path is folder or lies below it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

func isOwn(path string) bool {
	return slices.ContainsFunc(own, func(o string) bool { return within(path, o) })
}

// pseudo are file systems that show the kernel's state instead of files: a
// sandbox has no business with the real machine's.
var pseudo = []string{
	"proc", "sysfs", "devpts", "devtmpfs", "cgroup", "cgroup2", "mqueue", "hugetlbfs", "debugfs", "tracefs", "securityfs", "bpf",
	"configfs", "pstore", "efivarfs", "autofs", "nsfs", "binfmt_misc", "fusectl", "rpc_pipefs", "selinuxfs", "ramfs",
}

func (m mountPoint) pseudo() bool { return slices.Contains(pseudo, m.kind) }
