package builtins

import (
	"errors"

	"fabgo/internal/converge"
)

// unknown finds the Unknown in an error, or nil.
func unknown(err error) *converge.Unknown {
	u, _ := errors.AsType[*converge.Unknown](err)
	return u
}

// stop ends the evaluation because the bundle asked whether something unknown is true: truth cannot fail in Starlark, so the thread
// is cancelled, and Stopped tells why.
func (c *call) stop(u *converge.Unknown) {
	if c.stopped == nil {
		c.stopped = u
	}
	c.thread.Cancel(u.Error())
}

// Stopped is why the runtime itself ended the evaluation, or nil.
func (rt *Runtime) Stopped() error {
	if rt.stopped == nil {
		return nil
	}
	return rt.stopped
}
