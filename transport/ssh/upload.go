package ssh

import (
	"context"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"

	"fabgo/transport"
)

// answerKept is how much a script may print that takes an upload.
const answerKept = 64 << 10

// Upload runs a POSIX sh script as Start does, feeds it what r gives, and returns what it printed, at most 64 KiB. A script that takes
// no more of its input and ends well is no error. Little is kept in memory, however much r gives.
//
// An upload that breaks off looks to the script like one that ended: it has to check what it got, by size or digest, before it uses it.
func (h *Host) Upload(ctx context.Context, script string, r io.Reader) (string, error) {
	s, err := h.Start(ctx, script)
	if err != nil {
		return "", err
	}
	defer s.Close()
	// What ends the copy early, of either direction, is its stream: closed with ctx, ended with the script.
	defer context.AfterFunc(ctx, func() { s.Close() })()
	given := make(chan error, 1)
	go func() {
		_, err := io.Copy(s, onlyReader{r})
		if re, ok := errors.AsType[*inputError](err); ok {
			given <- re.err // before the stream's own error shows
			s.abort()
			return
		}
		s.CloseWrite()
		given <- nil
	}()
	out, err := io.ReadAll(io.LimitReader(s, answerKept))
	if err == nil {
		_, err = io.Copy(io.Discard, s)
	}
	var exit Exit
	if err == nil {
		exit, err = s.Wait(ctx)
	}
	select {
	case ierr := <-given:
		if ierr != nil {
			return "", &transport.Error{Kind: transport.IO, Message: "upload: " + ierr.Error(), Err: ierr}
		}
	default: // r still thinks, but nobody wants to know any more
	}
	switch {
	case ctx.Err() != nil:
		return "", interruptedError(ctx, "upload")
	case err != nil:
		return "", err
	case exit.Code != 0:
		return "", classify("upload", "", exit.Code, transport.Text(s.Stderr()))
	}
	return string(out), nil
}

// onlyReader hides all other methods of a reader, and marks its errors as ours.
type onlyReader struct{ r io.Reader }

func (o onlyReader) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && err != io.EOF {
		err = &inputError{err}
	}
	return n, err
}

// abort ends the stream without letting the script take half of its input for all of it, as far as the server helps with that.
func (s *Stream) abort() {
	s.mu.Lock()
	a := s.running
	s.mu.Unlock()
	if a != nil {
		a.ch.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{"KILL"}))
	}
	s.Close()
}
