package builtins

import (
	"context"
	"slices"
	"strings"

	"fabgo/transport"
)

// mountFlags are those options that are properties of the mount and not of its file system, as the kernel shows them; what is the default
// is left out. Later options win over earlier ones: mount(8).
func mountFlags(options []string) transport.Text {
	set := map[string]bool{}
	for _, o := range options {
		switch o {
		case "ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "sync", "dirsync":
			set[o] = true
		case "rw":
			delete(set, "ro")
		case "async":
			delete(set, "sync")
		case "suid", "dev", "exec", "atime", "diratime":
			delete(set, "no"+o)
		case "relatime", "strictatime":
			delete(set, "noatime")
		case "defaults":
			for _, f := range []string{"ro", "nosuid", "nodev", "noexec", "sync"} {
				delete(set, f)
			}
		case "user", "users":
			set["nosuid"], set["nodev"], set["noexec"] = true, true, true
		case "owner", "group":
			set["nosuid"], set["nodev"] = true, true
		}
	}
	return transport.Text(strings.Join(sortedKeys(set), ","))
}

// mountOpposite is the option that takes a flag back; dirsync has none.
func mountOpposite(flag string) string {
	switch flag {
	case "ro":
		return "rw"
	case "sync":
		return "async"
	case "dirsync":
		return ""
	case "noatime":
		return "relatime"
	}
	return strings.TrimPrefix(flag, "no")
}

// sameFSType reports whether the kernel may show a type in the place of the one that was named.
func sameFSType(named, shown string) bool {
	switch {
	case named == shown:
		return true
	case named == "nfs":
		return shown == "nfs4"
	case named == "ntfs-3g", named == "ntfs", named == "exfat":
		return shown == "fuseblk"
	}
	return "fuse."+named == shown
}

// sameSource reports whether what is mounted is what was named: a device has names by its content, and symlinks.
func sameSource(ctx context.Context, h transport.Host, named, shown string) (bool, error) {
	if strings.TrimRight(named, "/") == strings.TrimRight(shown, "/") {
		return true, nil
	}
	a, err := deviceOf(ctx, h, named)
	if err != nil {
		return false, err
	}
	b, err := deviceOf(ctx, h, shown)
	return a == b, err
}

// deviceOf is the device that a source means, as far as symlinks tell.
func deviceOf(ctx context.Context, h transport.Host, source string) (string, error) {
	tag, value, ok := strings.Cut(source, "=")
	if folders := []string{"UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID"}; ok && slices.Contains(folders, tag) {
		source = "/dev/disk/by-" + strings.ToLower(tag) + "/" + udevName(strings.Trim(value, `"`))
	}
	for range 8 {
		p, err := transport.NewPath(source)
		if err != nil || !strings.HasPrefix(source, "/") {
			return source, nil
		}
		fi, err := transport.Do[transport.FileInfo](ctx, h, transport.Stat{Path: p})
		if err != nil {
			return "", err
		}
		if fi.Type != transport.Symlink {
			return string(p), nil
		}
		if source = string(fi.Target); !strings.HasPrefix(source, "/") {
			source = string(p.Dir()) + "/" + source
		}
	}
	return source, nil
}

// udevName writes a label as udev names its symlink.
func udevName(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("#+-.:=@_", c) >= 0 || c >= 0x80 {
			b.WriteByte(c)
			continue
		}
		b.WriteString(`\x`)
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
