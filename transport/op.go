package transport

import "time"

// Op is one interaction with a host. The set is closed: only this package has ops. An op is a flat value; its zero fields mean
// "not asked" or "leave as it is".
type Op interface {
	// Kind is the op's name in journals and on the wire.
	Kind() string
	// Changes reports whether the op may change the host. A plan sends none that does.
	Changes() bool
	op()
}

// Stat asks for the attributes of a file; a missing file is an answer (Type Absent), not an error. It answers FileInfo.
type Stat struct {
	Path    Path     `json:"path"`
	Follow  bool     `json:"follow,omitempty"`  // through a symlink in the last place; else of the link itself
	Digest  bool     `json:"digest,omitempty"`  // of a regular file's content
	Against *Content `json:"against,omitempty"` // answer in Same whether a regular file holds exactly this
}

// List asks for the entries of a folder. It answers Listing, sorted by path, without the folder itself. A missing folder is an
// error of kind NotFound.
type List struct {
	Path      Path `json:"path"`
	Recursive bool `json:"recursive,omitempty"` // the whole tree; symlinks are not followed, other file systems are entered
	Digest    bool `json:"digest,omitempty"`    // of every regular file's content
	// Against is a manifest: what is as it says is left out of the answer (see Listing.Alike), and of regular files only those have a
	// digest that the manifest names as such, unless Digest is set.
	Against *Content `json:"against,omitempty"`
}

// Read asks for the bytes of a file, through symlinks. It answers Data. Limit 0 means ReadLimit; a file (or the rest behind Offset)
// that is longer is cut and Data says so.
type Read struct {
	Path   Path  `json:"path"`
	Offset int64 `json:"offset,omitempty"`
	Limit  int64 `json:"limit,omitempty"`
}

// ReadLimit is how many bytes a Read without a limit answers at the most: 4 MiB.
const ReadLimit = 4 << 20

// Lookup asks for rows of one of the system's tables by key; no keys means all rows. It answers Rows, in the order of the keys (all:
// sorted by key); a key without a row is left out. The tables and their columns are described at Table.
type Lookup struct {
	Table Table  `json:"table"`
	Keys  []Text `json:"keys,omitempty"`
}

// Exec runs a command. It answers Output, for any exit code. The environment of the command is small and fixed: PATH with the usual
// six folders (sbin among them), LC_ALL=C, HOME, USER, LOGNAME and SHELL of its user, and what Env adds; nothing of the
// controller's own environment gets there.
type Exec struct {
	Argv    []Text          `json:"argv"`              // the program, searched in PATH, and its arguments; no shell
	Env     map[string]Text `json:"env,omitempty"`     // added to the environment
	Dir     Path            `json:"dir,omitempty"`     // working folder; "" is / for root and the home folder for others
	User    Text            `json:"user,omitempty"`    // run as this user (name or id); "" is the user that fabgo acts as
	Login   bool            `json:"login,omitempty"`   // through the user's login shell, which reads its profile
	Stdin   *Content        `json:"stdin,omitempty"`   // none: /dev/null
	Timeout time.Duration   `json:"timeout,omitempty"` // then the whole process group is killed: an error of kind Timeout
	Limit   int64           `json:"limit,omitempty"`   // bytes kept of each of stdout and stderr; 0 means OutputLimit
	Change  bool            `json:"change,omitempty"`  // the command may change the host
}

// OutputLimit is how many bytes an Exec without a limit keeps of each output: 1 MiB, half from the head and half from the tail.
const OutputLimit = 1 << 20

// Write makes a regular file hold a content, atomically: a reader sees the old file or the new one, owner and mode included, and
// content is never readable by anyone whom the final mode keeps out. Parents must exist. It answers Written.
type Write struct {
	Path     Path    `json:"path"`
	Content  Content `json:"content"`
	Mode     Mode    `json:"mode,omitempty"`     // "": that of the file that is there, else 0644
	Owner    Text    `json:"owner,omitempty"`    // name or id; "": that of the file that is there, else the acting user
	Group    Text    `json:"group,omitempty"`    // likewise; a new file's is the owner's primary group
	Follow   bool    `json:"follow,omitempty"`   // write through a symlink; else a symlink in that place is refused
	Backup   Path    `json:"backup,omitempty"`   // the file that was there is kept under this name, in the same folder
	Validate []Text  `json:"validate,omitempty"` // run with the new file's temporary name for %s; unless it exits 0 nothing is replaced
}

// Unpack writes many small files below a folder, each of them as Write does: a reader sees the old file or the new one. Folders that they
// are in must exist. Nothing is written when the manifest, an owner or a group is refused; what fails later leaves each file either as it
// was or written. It answers Done.
type Unpack struct {
	Path  Path    `json:"path"`
	Files Content `json:"files"` // a manifest of regular files; a mode that it does not say is treated as Write does
	Pack  Content `json:"pack"`  // their bytes, in the order of the manifest, with nothing in between
	Owner Text    `json:"owner,omitempty"`
	Group Text    `json:"group,omitempty"`
}

// Mkdir makes a folder. A folder that is there already is an error of kind Refused. It answers Done.
type Mkdir struct {
	Path    Path `json:"path"`
	Mode    Mode `json:"mode,omitempty"` // "": 0755, whatever the umask
	Owner   Text `json:"owner,omitempty"`
	Group   Text `json:"group,omitempty"`
	Parents bool `json:"parents,omitempty"` // make the missing folders above it too, 0755, owned by the acting user
}

// Link makes a symlink (or hard link), replacing a symlink that is there atomically; anything else in that place is refused. It
// answers Done.
type Link struct {
	Path   Path `json:"path"`
	Target Text `json:"target"`
	Hard   bool `json:"hard,omitempty"`
	Owner  Text `json:"owner,omitempty"` // of the symlink itself
	Group  Text `json:"group,omitempty"`
}

// Remove removes a file, a symlink (never what it points to) or an empty folder; Recursive, a tree. It refuses / and the folders
// directly below it, such as /etc, unless they are empty, and mount points. A missing file is an error of kind NotFound. It answers
// Done.
type Remove struct {
	Path      Path `json:"path"`
	Recursive bool `json:"recursive,omitempty"`
}

// SetAttr sets owner, group and mode of what is there. A symlink in the last place is not followed: its own owner is set, a mode is
// refused. Recursive sets them in the whole tree without following symlinks: Mode on folders, FileMode on regular files. It answers
// Done.
type SetAttr struct {
	Path      Path `json:"path"`
	Mode      Mode `json:"mode,omitempty"`
	Owner     Text `json:"owner,omitempty"`
	Group     Text `json:"group,omitempty"`
	Recursive bool `json:"recursive,omitempty"`
	FileMode  Mode `json:"file_mode,omitempty"` // Recursive only; "": modes of files are left
}

// Ask is answered by the controller, not by the machine. It answers Data.
type Ask struct {
	What   Question `json:"what"`
	Name   Text     `json:"name,omitempty"`
	Files  *Content `json:"files,omitempty"`  // of AskFiles: a manifest
	Unseen bool     `json:"unseen,omitempty"` // who asks hands the answer on and does not look into it: journals do not keep its bytes
}

// Question is what an Ask can be about.
type Question string

// The questions. Their answers are recorded, which is what keeps a bundle deterministic.
const (
	AskFile  Question = "file"  // the content of a file of the bundle; Name is its path on the controller
	AskTree  Question = "tree"  // a folder of the bundle: a manifest, without modes; symlinks are not followed
	AskFiles Question = "files" // the pack of some regular files of a folder of the bundle: see Unpack
	AskToken Question = "token" // 32 random hexadecimal digits
	AskTime  Question = "time"  // the time, RFC 3339 in UTC
	// AskSecret is about the secret Name. The bundle is answered its token; the bytes go no further than to who carries out the ops (package
	// secrets).
	AskSecret Question = "secret"
)

// Kind implementations.
func (Stat) Kind() string    { return "stat" }
func (List) Kind() string    { return "list" }
func (Read) Kind() string    { return "read" }
func (Lookup) Kind() string  { return "lookup" }
func (Exec) Kind() string    { return "exec" }
func (Write) Kind() string   { return "write" }
func (Unpack) Kind() string  { return "unpack" }
func (Mkdir) Kind() string   { return "mkdir" }
func (Link) Kind() string    { return "link" }
func (Remove) Kind() string  { return "remove" }
func (SetAttr) Kind() string { return "setattr" }
func (Ask) Kind() string     { return "ask" }

// Changes implementations.
func (Stat) Changes() bool    { return false }
func (List) Changes() bool    { return false }
func (Read) Changes() bool    { return false }
func (Lookup) Changes() bool  { return false }
func (o Exec) Changes() bool  { return o.Change }
func (Write) Changes() bool   { return true }
func (Unpack) Changes() bool  { return true }
func (Mkdir) Changes() bool   { return true }
func (Link) Changes() bool    { return true }
func (Remove) Changes() bool  { return true }
func (SetAttr) Changes() bool { return true }
func (Ask) Changes() bool     { return false }

func (Stat) op()    {}
func (List) op()    {}
func (Read) op()    {}
func (Lookup) op()  {}
func (Exec) op()    {}
func (Write) op()   {}
func (Unpack) op()  {}
func (Mkdir) op()   {}
func (Link) op()    {}
func (Remove) op()  {}
func (SetAttr) op() {}
func (Ask) op()     {}
