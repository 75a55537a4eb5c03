package controller

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

var errNoFile = errors.New("it is not a regular file")

// readSmall reads a regular file into room. whole is false where it does not fit.
func readSmall(fsys fs.FS, name string, room []byte) (b []byte, mode fs.FileMode, whole bool, err error) {
	if at, ok := fsys.(*beneath); ok {
		if b, mode, whole, err = at.readRaw(name, room); !errors.Is(err, errors.ErrUnsupported) {
			return b, mode, whole, err
		}
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, 0, false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, false, err
	}
	if !st.Mode().IsRegular() {
		return nil, 0, false, errNoFile
	}
	n, err := io.ReadFull(f, room)
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		return room[:n], st.Mode(), true, nil
	case nil:
		whole, err := atEnd(f)
		return room[:n], st.Mode(), whole, err
	}
	return nil, 0, false, err
}

// atEnd reports whether there is nothing more to read.
func atEnd(r io.Reader) (bool, error) {
	var more [1]byte
	switch n, err := r.Read(more[:]); {
	case n > 0:
		return false, nil
	case err == io.EOF:
		return true, nil
	case err != nil:
		return false, err
	}
	return false, fmt.Errorf("it neither goes on nor ends")
}
