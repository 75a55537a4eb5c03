package module

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"
)

// maxTreeBytes bounds what a module holds: 256 MiB.
const maxTreeBytes = 256 << 20

// git runs the system's git, which has the user's credentials. It asks nothing: there may be nobody to answer.
type git struct {
	environ []string // of the user
}

func (g git) command(ctx context.Context, args ...string) *exec.Cmd {
	fixed := []string{"-c", "protocol.allow=never", "-c", "protocol.https.allow=always", "-c", "protocol.ssh.allow=always", "-c", "protocol.file.allow=always",
		"-c", "core.hooksPath=" + os.DevNull, "-c", "gc.auto=0", "-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"}
	cmd := exec.CommandContext(ctx, "git", append(fixed, args...)...)
	ssh := true
	for _, kv := range g.environ {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_ALLOW_PROTOCOL", "GIT_TERMINAL_PROMPT", "GIT_NAMESPACE", "LC_ALL":
			continue // they mean the repository that is worked in
		case "GIT_SSH", "GIT_SSH_COMMAND":
			ssh = false
		}
		cmd.Env = append(cmd.Env, kv)
	}
	cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=https:ssh:file", "GIT_NO_REPLACE_OBJECTS=1", "LC_ALL=C")
	if ssh {
		cmd.Env = append(cmd.Env, "GIT_SSH_COMMAND=ssh -oBatchMode=yes")
	}
	return cmd
}

// run gives what git says. An error has the last lines of what git complained about.
func (g git) run(ctx context.Context, args ...string) (string, error) {
	cmd := g.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("modules are fetched by git, which is not installed here: install it")
	} else if err != nil {
		lines := slices.DeleteFunc(strings.Split(stderr.String(), "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
		return "", fmt.Errorf("git: %w: %s", err, strings.Join(lines[max(0, len(lines)-5):], "; "))
	}
	return stdout.String(), nil
}

// versions are the tags of a source that are versions, in their order.
func (g git) versions(ctx context.Context, source string) ([]string, error) {
	out, err := g.run(ctx, "ls-remote", "--tags", "--refs", "--", source)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its versions: %w", source, err)
	}
	var all []string
	for line := range strings.Lines(out) {
		if _, tag, ok := strings.Cut(strings.TrimSpace(line), "refs/tags/"); ok && CheckVersion(tag) == nil {
			all = append(all, tag)
		}
	}
	slices.SortFunc(all, semver.Compare)
	return all, nil
}

// mirror is the folder of the cache with what was fetched from a source.
func mirror(cache, source string) string {
	sum := sha256.Sum256([]byte(source))
	return filepath.Join(cache, "git", hex.EncodeToString(sum[:]))
}

// commit is what a version's tag names. It is fetched when the mirror does not hold it, or when fresh asks.
func (g git) commit(ctx context.Context, dir, source, version string, fresh bool) (string, error) {
	ref := "refs/tags/" + version
	if !fresh {
		if out, err := g.run(ctx, "-C", dir, "rev-parse", "--verify", "--quiet", ref+"^{commit}"); err == nil {
			return strings.TrimSpace(out), nil
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if _, err := g.run(ctx, "init", "--quiet", "--bare", "--", dir); err != nil {
		return "", err
	}
	if _, err := g.run(ctx, "-C", dir, "fetch", "--quiet", "--depth=1", "--no-tags", "--", source, "+"+ref+":"+ref); err != nil {
		return "", fmt.Errorf("fetch %s of %s: %w", version, source, err)
	}
	out, err := g.run(ctx, "-C", dir, "rev-parse", "--verify", ref+"^{commit}")
	return strings.TrimSpace(out), err
}

// extract writes the tree of a commit, byte for byte as it is stored: no filter and no conversion of line ends has a say.
func (g git) extract(ctx context.Context, dir, commit, to string) error {
	list, err := g.run(ctx, "-C", dir, "ls-tree", "-r", "-z", "--full-tree", commit)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	type entry struct{ mode, id, name string }
	var entries []entry
	var ask strings.Builder
	for _, line := range strings.Split(strings.TrimSuffix(list, "\x00"), "\x00") {
		attrs, name, _ := strings.Cut(line, "\t")
		w := strings.Fields(attrs)
		switch {
		case line == "":
			continue
		case len(w) != 3 || w[1] != "blob":
			return fmt.Errorf("%s is a submodule: a module holds its files itself", name)
		case !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name || strings.Contains(name, `\`):
			return fmt.Errorf("the name %q leads out of the module", name)
		}
		entries = append(entries, entry{w[0], w[2], name})
		ask.WriteString(w[2] + "\n")
	}
	cmd := g.command(ctx, "-C", dir, "cat-file", "--batch")
	cmd.Stdin = strings.NewReader(ask.String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r, total := bufio.NewReader(out), int64(0)
	err = func() error {
		for _, e := range entries {
			content, err := readBlob(r, maxTreeBytes-total)
			if err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
			total += int64(len(content))
			if err := writeEntry(root, e.mode, e.name, content); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		cmd.Process.Kill()
	}
	return errors.Join(err, ignoreKilled(err, cmd.Wait()))
}

// ignoreKilled is how a process ended, unless it was killed because of err.
func ignoreKilled(err, end error) error {
	if err != nil {
		return nil
	}
	return end
}

// readBlob reads one answer of cat-file --batch: "ID blob SIZE", the content, a line end.
func readBlob(r *bufio.Reader, limit int64) ([]byte, error) {
	head, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	w := strings.Fields(head)
	if len(w) != 3 || w[1] != "blob" {
		return nil, fmt.Errorf("git answers %q", strings.TrimSpace(head))
	}
	size, err := strconv.ParseInt(w[2], 10, 64)
	if err != nil || size < 0 || size > limit {
		return nil, fmt.Errorf("the module has more than %d MiB", maxTreeBytes>>20)
	}
	content := make([]byte, size+1)
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, err
	}
	return content[:size], nil
}

// writeEntry writes one file or symlink within root.
func writeEntry(root *os.Root, mode, name string, content []byte) error {
	file := filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if mode == "120000" {
		if err := checkLink(name, string(content)); err != nil {
			return err
		}
		return root.Symlink(string(content), file)
	}
	perm := os.FileMode(0o644)
	if mode == "100755" {
		perm = 0o755
	}
	f, err := root.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// signer verifies the signature of a version's tag and says whose it is.
func (g git) signer(ctx context.Context, dir, version, signers string) (string, error) {
	tag, err := g.run(ctx, "-C", dir, "cat-file", "tag", "refs/tags/"+version)
	if err != nil || !strings.Contains(tag, "\n-----BEGIN SSH SIGNATURE-----\n") {
		return "", fmt.Errorf("the tag is not signed with an SSH key")
	}
	head, _, _ := strings.Cut(tag, "\n\n")
	if !slices.Contains(strings.Split(head, "\n"), "tag "+version) {
		return "", fmt.Errorf("the signature is of another tag")
	}
	if _, err := os.Stat(signers); err != nil {
		return "", err
	}
	cmd := g.command(ctx, "-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen", "-c", "gpg.program="+os.DevNull, "-c", "gpg.ssh.allowedSignersFile="+signers,
		"-C", dir, "verify-tag", "--", version)
	out, err := cmd.CombinedOutput() // ssh-keygen's words come out of either
	if err != nil {
		return "", fmt.Errorf("the signature is of nobody in %s: %s", signers, strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "; "))
	}
	_, who, ok := strings.Cut(string(out), `Good "git" signature for `)
	if !ok {
		return "", fmt.Errorf("the signature is of nobody in %s", signers)
	}
	who, _, _ = strings.Cut(who, " with ")
	if who == "" || strings.ContainsAny(who, " \t\n#") {
		return "", fmt.Errorf("the signer's name %q holds a space: write one without into %s", who, signers)
	}
	return who, nil
}
