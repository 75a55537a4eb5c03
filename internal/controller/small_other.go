//go:build !linux

package controller

import (
	"errors"
	"io/fs"
)

func (b *beneath) readRaw(string, []byte) ([]byte, fs.FileMode, bool, error) {
	return nil, 0, false, errors.ErrUnsupported
}
