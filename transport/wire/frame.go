package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// kind says what a frame is.
type kind byte

// The frames. An id belongs to the end that chose it: calls and pulls of the two ends are counted apart.
const (
	kindCall    kind = 'c' // id, fields: name, arguments, digests of offered contents, attached contents
	kindReply   kind = 'r' // id of the call, fields: result, digests of offered contents, attached contents
	kindFail    kind = 'f' // id of the call, the error
	kindCancel  kind = 'x' // id of the call, why its caller has lost interest
	kindMessage kind = 'm' // fields: topic, payload
	kindPull    kind = 'p' // id, the digest of a content
	kindData    kind = 'd' // id of the pull, bytes
	kindEnd     kind = 'e' // id of the pull, why it ended early; empty: all bytes were sent
	kindAck     kind = 'a' // id of the pull, eight bytes: so many more bytes may be sent
	kindDrop    kind = 'z' // id of the pull: no more of it is wanted
)

// MaxFrame is the size up to which a frame is taken: 64 MiB. It bounds what one answer, such as the listing of a tree, may be; contents
// travel in pieces.
const MaxFrame = 64 << 20

const headSize = 4 + 1 + 8

// trusted is how much memory a frame may have before its bytes came, enough for a piece of a content.
const trusted = 256 << 10

// maxFields is how many fields a frame may have: a field of no bytes takes one on the wire and many here.
const maxFields = 16

type frame struct {
	kind kind
	id   uint64
	body []byte
}

// appendFrame encodes a frame: the length of what follows it, the kind, the id, the body.
func appendFrame(b []byte, f frame) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+8+len(f.body)))
	b = append(b, byte(f.kind))
	b = binary.BigEndian.AppendUint64(b, f.id)
	return append(b, f.body...)
}

// readFrame reads one frame. io.EOF means that the far end ended between two. Bodies of pieces of contents are taken from free, which may
// be nil.
func readFrame(r *bufio.Reader, free pieces) (frame, error) {
	var head [headSize]byte
	got := 0
	for _, upto := range []int{4, headSize} { // a length that cannot be is refused without waiting for what is behind it
		n, err := io.ReadFull(r, head[got:upto])
		got += n
		switch {
		case err != nil && got == 0:
			return frame{}, err
		case err != nil:
			return frame{}, fmt.Errorf("the far end stopped in the middle of a frame: %w", noEOF(err))
		}
		if size := binary.BigEndian.Uint32(head[:4]); size < 1+8 || size > MaxFrame {
			return frame{}, fmt.Errorf("a frame of %d bytes: it has to have between 9 and %d", size, MaxFrame)
		}
	}
	size := binary.BigEndian.Uint32(head[:4])
	f := frame{kind: kind(head[4]), id: binary.BigEndian.Uint64(head[5:])}
	// The length is the far end's word: memory grows with what really comes.
	for body := int(size - 1 - 8); len(f.body) < body; {
		have := len(f.body)
		var b []byte
		if f.kind == kindData && body <= pieceSize {
			b = free.get(body)
		} else {
			b = make([]byte, min(body, max(2*have, trusted)))
		}
		copy(b, f.body)
		f.body = b
		if n, err := io.ReadFull(r, f.body[have:]); err != nil {
			return frame{}, fmt.Errorf("the far end stopped %d bytes into a frame of %d: %w", have+n, body, noEOF(err))
		}
	}
	return f, nil
}

// noEOF is err for a place where an end is none: io.EOF alone means an end between two frames.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pack joins fields, each behind its length.
func pack(fields ...[]byte) []byte {
	n := 0
	for _, f := range fields {
		n += len(f) + binary.MaxVarintLen32
	}
	b := make([]byte, 0, n)
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(len(f)))
		b = append(b, f...)
	}
	return b
}

// unpack takes apart what pack joined. There are at least so many fields; more are attachments.
func unpack(b []byte, least int) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil, fmt.Errorf("a field is longer than its frame")
		}
		if len(out) == maxFields {
			return nil, fmt.Errorf("a frame has more than %d fields", maxFields)
		}
		b = b[size:]
		out = append(out, b[:n:n])
		b = b[n:]
	}
	if len(out) < least {
		return nil, fmt.Errorf("a frame has %d fields, not %d", len(out), least)
	}
	return out, nil
}

// greeting is how both ends begin. What a reader finds before it is noise of profiles and of sudo.
const greeting = "\x1efabgo-wire/1\n"

// maxNoise is how much may come before the greeting.
const maxNoise = 256 << 10

// skipNoise reads up to the end of the greeting and returns what came before it. What merely looks like a greeting, such as that of another
// version, is noise.
func skipNoise(r *bufio.Reader) (noise []byte, err error) {
	for {
		line, err := r.ReadSlice('\n')
		noise = append(noise, line...)
		if before, ok := bytes.CutSuffix(noise, []byte(greeting)); ok {
			return before, nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return noise, err
		}
		if len(noise) > maxNoise {
			return noise, fmt.Errorf("%d bytes and no greeting among them", len(noise))
		}
	}
}
