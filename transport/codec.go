package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// The canonical encoding is JSON with the fields in the order of the struct, maps sorted, nothing escaped that need not be, and the
// op's kind first. It is what journals keep and what digests are made of.

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// EncodeOp is the canonical encoding of an op. Contents are in it by digest and size only.
func EncodeOp(op Op) []byte {
	b, err := marshal(op)
	if err != nil {
		panic(fmt.Sprintf("transport: encode %T: %v", op, err)) // only flat values of this package get here
	}
	head := `{"kind":"` + op.Kind() + `"`
	if len(b) > 2 {
		head += ","
	}
	return append([]byte(head), b[1:]...)
}

// DigestOp names an op: the digest of its canonical encoding.
func DigestOp(op Op) Digest { return DigestOf(EncodeOp(op)) }

// DecodeOp reads what EncodeOp wrote. Contents come back known by name only.
func DecodeOp(b []byte) (Op, error) {
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("decode op: %w", err)
	}
	switch head.Kind {
	case "stat":
		return decode[Stat](b)
	case "list":
		return decode[List](b)
	case "read":
		return decode[Read](b)
	case "lookup":
		return decode[Lookup](b)
	case "exec":
		return decode[Exec](b)
	case "write":
		return decode[Write](b)
	case "unpack":
		return decode[Unpack](b)
	case "mkdir":
		return decode[Mkdir](b)
	case "link":
		return decode[Link](b)
	case "remove":
		return decode[Remove](b)
	case "setattr":
		return decode[SetAttr](b)
	case "ask":
		return decode[Ask](b)
	}
	return nil, fmt.Errorf("decode op: unknown kind %q", head.Kind)
}

func decode[T any](b []byte) (T, error) {
	var v T
	err := json.Unmarshal(b, &v)
	return v, err
}

// EncodeResult is the canonical encoding of a result, without its type: that follows from the op.
func EncodeResult(r Result) []byte {
	b, err := marshal(r)
	if err != nil {
		panic(fmt.Sprintf("transport: encode %T: %v", r, err))
	}
	return b
}

// DecodeResult reads what EncodeResult wrote for an answer to op.
func DecodeResult(op Op, b []byte) (Result, error) {
	switch op.(type) {
	case Stat:
		return decode[FileInfo](b)
	case List:
		return decode[Listing](b)
	case Read, Ask:
		return decode[Data](b)
	case Lookup:
		return decode[Rows](b)
	case Exec:
		return decode[Output](b)
	case Write:
		return decode[Written](b)
	case Unpack, Mkdir, Link, Remove, SetAttr:
		return decode[Done](b)
	}
	return nil, fmt.Errorf("decode result: unknown op %T", op)
}

// BindOp gives the contents of an op their bytes back: get finds them by name.
func BindOp(op Op, get func(Content) Content) Op {
	switch o := op.(type) {
	case Stat:
		o.Against = bind(o.Against, get)
		return o
	case Exec:
		o.Stdin = bind(o.Stdin, get)
		return o
	case Write:
		o.Content = bound(o.Content, get)
		return o
	case List:
		o.Against = bind(o.Against, get)
		return o
	case Unpack:
		o.Files, o.Pack = get(o.Files), get(o.Pack)
		return o
	case Ask:
		o.Files = bind(o.Files, get)
		return o
	}
	return op
}

// BindResult does the same for a result.
func BindResult(r Result, get func(Content) Content) Result {
	if d, ok := r.(Data); ok {
		d.Content = bound(d.Content, get)
		return d
	}
	return r
}

func bind(c *Content, get func(Content) Content) *Content {
	if c == nil {
		return nil
	}
	b := bound(*c, get)
	return &b
}

// bound is a content with its bytes. Whether tokens are among them is said by who made it.
func bound(c Content, get func(Content) Content) Content {
	b := get(c)
	b.Secret = c.Secret
	return b
}
