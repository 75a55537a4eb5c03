package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// instead is what a person can do where there can be no sandbox.
const instead = "or use @local (changes this machine), or a throw-away virtual machine as -H user@vm"

// refusedNamespaces explains why process 1 could not be started.
func refusedNamespaces(err error, ids idPlan) error {
	what := "new mount and process namespaces"
	if !ids.root {
		what = "a user namespace"
	}
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.ENOSYS) {
		return fmt.Errorf("start sandbox: %w", err)
	}
	return fmt.Errorf("start sandbox: the kernel refused %s: %w; %s", what, err, hint(ids.root))
}

// refused explains why a mount or a namespace inside could not be made.
func refused(what string, err error, root bool) error {
	return fmt.Errorf("%s: %w; %s", what, err, hint(root))
}

// hint names the setting that is the likely cause, and the way out.
func hint(root bool) string {
	for _, s := range []struct{ file, bad, advice string }{
		{"user/max_user_namespaces", "0", "allow user namespaces with `sysctl user.max_user_namespaces=10000`"},
		{"kernel/unprivileged_userns_clone", "0", "run fabgo as root, allow user namespaces with `sysctl kernel.unprivileged_userns_clone=1`"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1", "run fabgo as root, allow user namespaces with `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"},
	} {
		if root && !strings.HasPrefix(s.file, "user/") {
			continue // root may clone whatever these say
		}
		if b, err := os.ReadFile("/proc/sys/" + s.file); err == nil && strings.TrimSpace(string(b)) == s.bad {
			return s.advice + ", " + instead
		}
	}
	if root {
		return "this looks like a container without the right to make namespaces or overlays (needs CAP_SYS_ADMIN, as with `docker run --privileged`): run fabgo outside of it, " + instead
	}
	return "run fabgo as root, " + instead
}
