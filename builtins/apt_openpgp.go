package builtins

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the fingerprint of a version 4 key is defined by it
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

const armorHead = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

// dearmor gives the binary form of a keyring; what is not armored is binary already.
func dearmor(b []byte) (bin []byte, armored bool, err error) {
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN ")) {
		return b, false, nil
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	for {
		_, rest, ok := strings.Cut(text, armorHead)
		if !ok {
			break
		}
		body, after, ok := strings.Cut(rest, "-----END PGP PUBLIC KEY BLOCK-----")
		if !ok {
			return nil, true, fmt.Errorf("the armor has no end")
		}
		text = after
		var data strings.Builder
		head := true
		for line := range strings.Lines(strings.TrimPrefix(body, "\n")) {
			line = strings.TrimSpace(line)
			switch {
			case head && line == "":
				head = false
			case head && strings.Contains(line, ": "), line == "":
			case len(line) == 5 && line[0] == '=': // the checksum, which says nothing that a fingerprint does not
			default:
				head = false
				data.WriteString(line)
			}
		}
		raw, err := base64.StdEncoding.DecodeString(data.String())
		if err != nil {
			return nil, true, fmt.Errorf("the armor is damaged: %w", err)
		}
		bin = append(bin, raw...)
	}
	if bin == nil {
		return nil, true, fmt.Errorf("the armor holds no public key")
	}
	return bin, true, nil
}

// fingerprints are those of the primary keys in a binary keyring, in capital letters (RFC 9580, 5.5.4).
func fingerprints(b []byte) ([]string, error) {
	var out []string
	for len(b) > 0 {
		tag, body, rest, err := pgpPacket(b)
		if err != nil {
			return nil, err
		}
		b = rest
		switch tag {
		case 5, 7:
			return nil, fmt.Errorf("it holds a private key, which must not get onto hosts")
		case 6:
			f, err := fingerprint(body)
			if err != nil {
				return nil, err
			}
			out = append(out, f)
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("it does not begin with a public key")
		}
	}
	if out == nil {
		return nil, fmt.Errorf("it is empty")
	}
	return out, nil
}

func fingerprint(body []byte) (string, error) {
	if len(body) < 6 {
		return "", fmt.Errorf("a key in it is cut short")
	}
	switch body[0] {
	case 4:
		h := sha1.New() //nolint:gosec // as above
		h.Write([]byte{0x99, byte(len(body) >> 8), byte(len(body))})
		h.Write(body)
		return strings.ToUpper(hex.EncodeToString(h.Sum(nil))), nil
	case 5, 6:
		h := sha256.New()
		h.Write(binary.BigEndian.AppendUint32([]byte{0x95 + body[0]}, uint32(len(body))))
		h.Write(body)
		return strings.ToUpper(hex.EncodeToString(h.Sum(nil))), nil
	}
	return "", fmt.Errorf("a key in it has version %d, which is not known", body[0])
}

// pgpPacket splits the first packet off (RFC 9580, 4.2).
func pgpPacket(b []byte) (tag int, body, rest []byte, err error) {
	short := fmt.Errorf("it is no OpenPGP keyring, or is cut short")
	if len(b) < 2 || b[0]&0x80 == 0 {
		return 0, nil, nil, short
	}
	n, head := 0, 0
	if b[0]&0x40 != 0 {
		tag = int(b[0] & 0x3f)
		switch l := int(b[1]); {
		case l < 192:
			n, head = l, 2
		case l < 224 && len(b) >= 3:
			n, head = (l-192)<<8+int(b[2])+192, 3
		case l == 255 && len(b) >= 6:
			n, head = int(binary.BigEndian.Uint32(b[2:])), 6
		default:
			return 0, nil, nil, short
		}
	} else {
		tag = int(b[0] >> 2 & 0xf)
		size := 1 << (b[0] & 3)
		if size == 8 || len(b) < 1+size {
			return 0, nil, nil, short
		}
		for _, x := range b[1 : 1+size] {
			n = n<<8 | int(x)
		}
		head = 1 + size
	}
	if n < 0 || n > len(b)-head {
		return 0, nil, nil, short
	}
	return tag, b[head : head+n], b[head+n:], nil
}

// cleanFingerprint reads a fingerprint as people write it: with blanks, in small letters, with 0x.
func cleanFingerprint(s string) (string, error) {
	f := strings.ToUpper(strings.Join(strings.Fields(s), ""))
	f = strings.TrimPrefix(f, "0X")
	if _, err := hex.DecodeString(f); err != nil || len(f) != 40 && len(f) != 64 {
		return "", fmt.Errorf("fingerprint: %q is not the 40 hexadecimal digits of a fingerprint (shorter ids can be forged): `gpg --show-keys FILE` prints it", s)
	}
	return f, nil
}
