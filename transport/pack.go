package transport

import (
	"cmp"
	"fmt"
	"io"
)

// MaxPacked is the size up to which a file may be part of a pack: 1 MiB. Larger ones are written one by one, for whoever unpacks holds one
// file in memory.
const MaxPacked = 1 << 20

// Entries are the files that the op writes. An error says why the op is refused.
func (o Unpack) Entries() ([]SourceEntry, error) {
	entries, err := PackedFiles(o.Files)
	if err != nil {
		return nil, o.refused(err)
	}
	var sum int64
	for _, e := range entries {
		sum += e.Size
	}
	if sum != o.Pack.Size {
		return nil, o.refused(fmt.Errorf("the pack has %d bytes, and its files %d", o.Pack.Size, sum))
	}
	return entries, nil
}

// PackedFiles reads the manifest of a pack: regular files that are small enough.
func PackedFiles(files Content) ([]SourceEntry, error) {
	entries, err := files.Entries()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type != Regular {
			return nil, fmt.Errorf("%s is a %s: a pack is of files", e.Path, e.Type)
		}
		if e.Size > MaxPacked {
			return nil, fmt.Errorf("%s has %d bytes: files of a pack have at most %d", e.Path, e.Size, MaxPacked)
		}
	}
	return entries, nil
}

func (o Unpack) refused(err error) error {
	return &Error{Kind: Refused, Path: o.Path, Message: fmt.Sprintf("unpack %s: %v", o.Path, err), Err: err}
}

// Each reads the pack and calls f with each of the entries and its bytes, which are those that the manifest names. The bytes are f's only
// until it returns.
func (o Unpack) Each(entries []SourceEntry, f func(e SourceEntry, b []byte) error) error {
	return EachPacked(o.Pack, entries, func(e SourceEntry, b []byte, err error) error {
		if err != nil {
			p := o.Path.Join(string(e.Path))
			return &Error{Kind: cmp.Or(KindOf(err), IO), Path: p, Message: fmt.Sprintf("unpack %s: %v", p, err), Err: err}
		}
		return f(e, b)
	})
}

// EachPacked reads a pack. f also gets the error that ended the reading.
func EachPacked(pack Content, entries []SourceEntry, f func(e SourceEntry, b []byte, err error) error) error {
	if len(entries) == 0 {
		return nil
	}
	r, err := pack.Open()
	if err != nil {
		return f(entries[0], nil, err)
	}
	defer r.Close()
	buf := make([]byte, 0, 64<<10)
	for i, e := range entries {
		if int64(cap(buf)) < e.Size {
			buf = make([]byte, 0, e.Size)
		}
		b := buf[:e.Size]
		_, err := io.ReadFull(r, b)
		if err == nil && DigestOf(b) != e.Digest {
			err = fmt.Errorf("the pack holds other bytes than the manifest names")
		}
		if err == nil && i == len(entries)-1 { // the reader checks the pack as a whole at its end
			var more [1]byte
			if n, rerr := r.Read(more[:]); rerr != nil && rerr != io.EOF {
				err = rerr
			} else if n > 0 {
				err = fmt.Errorf("the pack goes on behind its last file")
			}
		}
		if err := f(e, b, err); err != nil {
			return err
		}
	}
	return nil
}
