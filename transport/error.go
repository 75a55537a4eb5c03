package transport

import "errors"

// Kind sorts errors by what a caller can do about them.
type Kind string

// The kinds of errors.
const (
	Unreachable Kind = "unreachable" // no connection, or it broke before anything was changed
	Auth        Kind = "auth"        // the server does not let us in, or the account cannot run commands
	HostKey     Kind = "hostkey"     // the server is not the one we know
	Escalation  Kind = "escalation"  // sudo refused, or its password is missing or wrong
	Timeout     Kind = "timeout"     // the command's own time limit passed; it was killed
	Denied      Kind = "denied"      // permission denied, or the immutable attribute is set
	NotFound    Kind = "notfound"    // a file, folder, program or user that the op needs does not exist
	NoSpace     Kind = "nospace"     // disk or quota full
	ReadOnlyFS  Kind = "readonly"    // the file system is mounted read-only
	Refused     Kind = "refused"     // fabgo itself will not do it: a symlink in the way, a wrong type, a dangerous path
	Unsupported Kind = "unsupported" // the host lacks what the op needs: systemd, dpkg, a tool
	Protocol    Kind = "protocol"    // the far end does not speak as it should
	Lost        Kind = "lost"        // a change was sent and we do not know whether it happened
	Interrupted Kind = "interrupted" // the caller's context ended
	IO          Kind = "io"          // any other failure of a file operation
)

// Error says that an op was not answered. Its fields but Err are kept in journals, so that a replay fails in the same words.
type Error struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`          // what was tried and what went wrong, with the cause's text
	Path    Path   `json:"path,omitempty"`   // the file it is about
	Hint    string `json:"hint,omitempty"`   // what a person can do
	Stderr  Text   `json:"stderr,omitempty"` // what a command said
	Err     error  `json:"-"`                // the cause, where it is at hand
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of err, or "" when no Error is in its chain.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}
