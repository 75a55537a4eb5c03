package transport

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

var sum = strings.Repeat("ab", 32)

func TestManifest(t *testing.T) {
	entries := []SourceEntry{
		{Path: "\x01\n %\x7f", Type: Regular, Size: 0, Digest: digestPrefix + Digest(sum)},
		{Path: "%41", Type: Dir, Mode: "0750"},
		{Path: "a b/\xff\xfe", Type: Regular, Mode: "4711", Executable: true, Size: 1 << 40, Digest: digestPrefix + Digest(sum)},
		{Path: "é/-", Type: Symlink, Target: "../to the\nend"},
	}
	c := Manifest(entries)
	b, err := c.ReadAll(MaxManifest)
	if err != nil {
		t.Fatal(err)
	}
	want := "f - 0 " + sum + " %01%0A%20%25%7F\n" + "d 0750 0 - %2541\n" + "x 4711 1099511627776 " + sum + " a%20b/\xff\xfe\n" + "l - 0 - é/- ../to%20the%0Aend\n"
	if string(b) != want {
		t.Errorf("%q, want %q", b, want)
	}
	got, err := c.Entries()
	if err != nil || !reflect.DeepEqual(got, entries) {
		t.Errorf("%+v, %v", got, err)
	}
	slices.Reverse(entries)
	if Manifest(entries).Digest != c.Digest {
		t.Error("the order of the entries counts")
	}
	if got, err := Manifest(nil).Entries(); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	for _, line := range []string{
		"", "f - 1 " + sum + " a", "q - 0 - a\n", "f - 1 " + sum + "\n", "f - 1 " + sum + " a b\n", "f - 1 " + sum + " a b c\n", "l - 0 - a\n", "d - 0 - a b\n",
		"f 9999 1 " + sum + " a\n", "f 644 1 " + sum + " a\n", "f - -1 " + sum + " a\n", "f - 01x " + sum + " a\n", "f - 99999999999999999999 " + sum + " a\n",
		"f - 1 - a\n", "f - 1 abcd a\n", "d - 0 " + sum + " a\n", "d - 5 - a\n",
		"d - 0 - /a\n", "d - 0 - ../a\n", "d - 0 - a/..\n", "d - 0 - a//b\n", "d - 0 - .\n", "d - 0 - a/\n", "d - 0 - %00\n", "d - 0 - %4\n", "d - 0 - %zz\n", "d - 0 - %41\n", "d - 0 - %0a\n",
		"d - 0 - " + strings.Repeat("n", 256) + "\n", "d - 0 - a\tb\n", "l - 0 - a %00\n",
		"d - 0 - b\nd - 0 - a\n", "d - 0 - a\nd - 0 - a\n",
	} {
		if line == "" {
			continue
		}
		if got, err := String(line).Entries(); err == nil || !strings.HasPrefix(err.Error(), "read a manifest: line ") {
			t.Errorf("%q is read as %+v, %v", line, got, err)
		}
	}
	if _, err := (Content{Size: MaxManifest + 1}).Entries(); err == nil {
		t.Error("one that is too long is read")
	}
}

func FuzzManifest(f *testing.F) {
	f.Add("f - 0 " + sum + " %01%0A\nx 4711 5 " + sum + " a%20b\n")
	f.Add("d 0750 0 - a\nl - 0 - b ../to%20the%0Aend\n")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := String(text).Entries()
		if err != nil {
			return
		}
		b, err := Manifest(entries).ReadAll(MaxManifest)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Bytes(b).Entries()
		if err != nil || !reflect.DeepEqual(back, entries) {
			t.Errorf("%q is read as %+v, which is read again as %+v, %v", text, entries, back, err)
		}
	})
}

// FuzzAlike: whatever is there and wanted, the answer against a manifest says what the whole one does.
func FuzzAlike(f *testing.F) {
	f.Add("aabbcc", "aabxcd")
	f.Add("abcabcabc", "")
	f.Fuzz(func(t *testing.T, wanted, found string) {
		names := func(i int) Text { return Text(string(rune('a'+i/26%26)) + string(rune('a'+i%26))) }
		var manifest []SourceEntry
		for i, c := range []byte(wanted[:min(len(wanted), 600)]) {
			e := SourceEntry{Path: names(i), Type: []FileType{Regular, Dir, Symlink}[c%3]}
			switch e.Type {
			case Regular:
				e.Executable, e.Digest = c%2 == 0, DigestOf([]byte{c % 5})
			case Symlink:
				e.Target = Text(rune('a' + c%5))
			}
			manifest = append(manifest, e)
		}
		var whole Listing
		for i, c := range []byte(found[:min(len(found), 600)]) {
			if c%7 == 0 {
				continue
			}
			fi := FileInfo{Type: []FileType{Regular, Dir, Symlink, Special}[c%4], UID: int(c / 100), Mode: NewMode(uint32(c % 2))}
			switch fi.Type {
			case Regular:
				fi.Digest = DigestOf([]byte{c % 5})
			case Symlink:
				fi.Target, fi.Mode = Text(rune('a'+c%5)), ""
			}
			whole.Entries = append(whole.Entries, Entry{Path: names(i), FileInfo: fi})
		}
		if i := len(whole.Entries); i > 676 || !slices.IsSortedFunc(whole.Entries, func(a, b Entry) int { return strings.Compare(string(a.Path), string(b.Path)) }) {
			return
		}
		if got := whole.Without(manifest).With(manifest); !slices.Equal(got.Entries, whole.Entries) {
			t.Errorf("%+v\nwant\n%+v", got.Entries, whole.Entries)
		}
	})
}
