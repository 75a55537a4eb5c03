package transport

import (
	"fmt"
	"strconv"
)

// Result is a host's answer to an op. The set is closed, like that of the ops.
type Result interface{ result() }

// FileType says what stands at a path.
type FileType string

// The types of files. Special is a device, a pipe or a socket.
const (
	Absent  FileType = "absent"
	Regular FileType = "file"
	Dir     FileType = "dir"
	Symlink FileType = "link"
	Special FileType = "special"
)

// FileInfo are the attributes of a file. Of an absent one only Type is set.
type FileInfo struct {
	Type    FileType `json:"type"`
	Mode    Mode     `json:"mode,omitempty"` // permission bits with setuid, setgid and sticky; not of symlinks
	UID     int      `json:"uid"`
	GID     int      `json:"gid"`
	Owner   Text     `json:"owner,omitempty"` // the name of UID, or its digits where it has none
	Group   Text     `json:"group,omitempty"`
	Size    int64    `json:"size,omitempty"`  // of regular files, bytes
	ModTime int64    `json:"mtime,omitempty"` // of content, seconds since 1970 UTC
	Target  Text     `json:"target,omitempty"`
	Digest  Digest   `json:"digest,omitempty"` // where asked
	Same    bool     `json:"same,omitempty"`   // answer to Against: a regular file with exactly that content
}

// Entry is a row of a Listing.
type Entry struct {
	Path Text `json:"path"` // relative to the folder that was listed
	FileInfo
}

// Listing answers List.
type Listing struct {
	Entries []Entry `json:"entries"`
	// Alike answers Against: an entry of the manifest that is not among Entries is what the manifest says, with the attributes of its
	// kind here, or absent where its kind is not here. Listing.With puts them together.
	Alike []Alike `json:"alike,omitempty"`
}

// Data answers Read and Ask.
type Data struct {
	Content Content `json:"content"`
	More    bool    `json:"more,omitempty"` // the file goes on behind the limit
}

// Row is a row of a table.
type Row struct {
	Key    Text            `json:"key"`
	Fields map[string]Text `json:"fields"`
}

// Rows answers Lookup.
type Rows struct {
	Rows []Row `json:"rows"`
}

// Get finds a row by its key.
func (r Rows) Get(key Text) (Row, bool) {
	for _, row := range r.Rows {
		if row.Key == key {
			return row, true
		}
	}
	return Row{}, false
}

// Output answers Exec. An output longer than the limit holds its head and its tail with a line "[... N bytes cut ...]" between
// them, and Cut is N.
type Output struct {
	Code      int   `json:"code"`             // exit code; 128 plus the signal's number for a command that a signal ended
	Signal    Text  `json:"signal,omitempty"` // the signal's name without SIG, such as "KILL"
	Stdout    Text  `json:"stdout,omitempty"`
	Stderr    Text  `json:"stderr,omitempty"`
	StdoutCut int64 `json:"stdout_cut,omitempty"`
	StderrCut int64 `json:"stderr_cut,omitempty"`
}

// Written answers Write. Without Validate it is empty; else Validation is the command's output, and unless that has code 0 the file
// is as it was.
type Written struct {
	Validation *Output `json:"validation,omitempty"`
}

// Done answers the other changing ops: it happened.
type Done struct{}

func (FileInfo) result() {}
func (Listing) result()  {}
func (Data) result()     {}
func (Rows) result()     {}
func (Output) result()   {}
func (Written) result()  {}
func (Done) result()     {}

// Mode are permission bits in four octal digits, such as "0640"; setuid, setgid and sticky are in the first. "" is no mode.
type Mode string

// NewMode makes a Mode of bits (those of chmod(2); others are dropped).
func NewMode(bits uint32) Mode { return Mode(fmt.Sprintf("%04o", bits&0o7777)) }

// ParseMode reads three or four octal digits.
func ParseMode(s string) (Mode, error) {
	n, err := strconv.ParseUint(s, 8, 16)
	if err != nil || len(s) < 3 || len(s) > 5 || n > 0o7777 {
		return "", fmt.Errorf("mode %q is not three or four octal digits such as \"0640\"", s)
	}
	return NewMode(uint32(n)), nil
}

// Bits are the permission bits; of "" they are 0.
func (m Mode) Bits() uint32 {
	n, _ := strconv.ParseUint(string(m), 8, 16)
	return uint32(n)
}

// Table names one of the system's tables that Lookup can ask. All columns are texts; a flag is "yes" or "no"; a list is joined by
// commas and sorted. A column that does not apply is left out.
type Table string

// The tables.
const (
	// Packages: key is a name, or name:arch. Columns: version, arch, status (dpkg's third word: installed, config-files,
	// half-installed, unpacked, ...), hold. Rows of packages that dpkg knows but that are not-installed are left out.
	Packages Table = "package"
	// Users: key is a name, or an id in digits (the row's key is the name then). Columns: uid, gid, group (the primary group's name), gecos, home, shell, groups (the others), and, where the
	// acting user may read the shadow file: locked (flag), password (the digest of the password field, never the field; "" when
	// the field is empty), expires (days since 1970; left out when never).
	Users Table = "user"
	// Groups: key is a name, or an id in digits. Columns: gid, members.
	Groups Table = "group"
	// Units of systemd: key is a full unit name such as nginx.service. Columns: load (loaded, not-found, masked, ...), active (active,
	// inactive, failed, activating, ...), sub, enabled (enabled, disabled, static, masked, ...; "" when it has no unit file),
	// file (the path of the unit file), stale (flag: the file changed since systemd read it), reload (flag: can reload), result (of the last run).
	// Where systemd is not running: an error of kind Unsupported.
	Units Table = "unit"
	// Mounts: key is the folder. Columns: source, fstype, options.
	Mounts Table = "mount"
	// Sysctls: key is the dotted name. Column: value (white space folded to single blanks).
	Sysctls Table = "sysctl"
)
