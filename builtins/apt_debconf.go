package builtins

import (
	"context"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"fabgo/internal/converge"
	"fabgo/transport"
)

// debconfScript asks debconf, without a lock, how a question is answered. The wanted answer is on standard input, so that a password
// need not leave the host: the first line of the output says same, different or none; then, for what is no password, the answer.
const debconfScript = `use Debconf::Db; use Debconf::Question;
open(STDERR, ">/dev/null"); Debconf::Db->load(readonly => "true");
my $want = do { local $/; <STDIN> }; my $q = Debconf::Question->get($ARGV[0]);
if (!defined $q) { print "none\n"; exit 0 }
my $have = $q->value; $have = "" unless defined $have;
print $q->flag("seen") eq "true" && $have eq $want ? "same\n" : "different\n";
print $have if $ARGV[1] ne "password" && $q->type ne "password";`

type debconfArgs struct {
	common
	Package  string         `arg:"package"`
	Question string         `arg:"question"`
	Value    starlark.Value `arg:"value"`
	Type     *string        `arg:"type"`
}

var debconfTypes = []string{"string", "boolean", "select", "multiselect", "note", "text", "password"}

var questionName = whenUsed(`^[A-Za-z0-9][A-Za-z0-9+._/-]*$`)

func (a debconfArgs) answer() (kind, value string, err error) {
	kind = "string"
	switch v := a.Value.(type) {
	case starlark.Bool:
		kind, value = "boolean", strings.ToLower(v.String())
	case starlark.Int:
		value = v.String()
	case starlark.String:
		value = string(v)
	default:
		list, err := stringsOf(a.Value)
		if err != nil {
			return "", "", fmt.Errorf("value: want a string, a number, True, False, or a list for a multiselect")
		}
		kind, value = "multiselect", strings.Join(list, ", ")
	}
	if a.Type != nil {
		kind = *a.Type
	}
	if !containsString(debconfTypes, kind) {
		return "", "", fmt.Errorf("type: got %q, want one of %s", kind, strings.Join(debconfTypes, ", "))
	}
	switch {
	case kind == "boolean" && value != "true" && value != "false":
		return "", "", fmt.Errorf("value: got %q, want True or False for a boolean", value)
	case strings.ContainsAny(value, "\n\r\x00"):
		return "", "", fmt.Errorf("value: an answer is one line")
	case value != strings.TrimSpace(value):
		return "", "", fmt.Errorf("value: debconf drops blanks at its ends")
	}
	return kind, value, nil
}

func containsString(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func aptDebconf(c *call, a debconfArgs) (starlark.Value, error) {
	kind, value, err := a.answer()
	switch {
	case err != nil:
	case !packageName().MatchString(a.Package):
		err = fmt.Errorf("package: %q is no name of a package", a.Package)
	case !questionName().MatchString(a.Question):
		err = fmt.Errorf("question: %q is no name of a question such as \"postfix/mailname\"", a.Question)
	}
	if err != nil {
		return nil, fmt.Errorf("apt.debconf: %w", err)
	}
	return c.converge(&debconfResource{session: c.Session, pkg: a.Package, question: a.Question, kind: kind, value: value})
}

// debconfResource is an answer to a question that a package asks when it is configured.
type debconfResource struct {
	session                    *converge.Session
	pkg, question, kind, value string
}

func (r *debconfResource) Name() string { return "debconf:" + r.question }

func (r *debconfResource) secret() bool { return r.kind == "password" }

func (r *debconfResource) Want(context.Context, transport.Host) ([]converge.Object, error) {
	answer := transport.Text(r.value)
	if r.secret() {
		answer = "as wanted" // the answer itself is nowhere but on the standard inputs of two commands
	}
	return []converge.Object{{Key: converge.Key{Table: "debconf", Name: r.question}, Fields: map[string]transport.Text{"answer": answer}, As: r.shown()}}, nil
}

func (r *debconfResource) shown() string {
	if r.secret() {
		return "answered"
	}
	return "answered " + r.value
}

func (r *debconfResource) stdin(text string) *transport.Content {
	in := transport.String(text)
	if r.secret() {
		r.session.Hide(in)
	}
	return &in
}

// Probe asks debconf. An answer that nobody has given yet is none, even if it is that of the package.
func (r *debconfResource) Probe(ctx context.Context, h transport.Host, want []converge.Object) ([]converge.Object, error) {
	argv := []string{"perl", "-e", debconfScript, r.question, r.kind}
	out, err := transport.Do[transport.Output](ctx, h, transport.Exec{Argv: transport.Texts(argv...), Stdin: r.stdin(r.value)})
	if err != nil {
		return nil, err
	}
	verdict, answer, _ := strings.Cut(string(out.Stdout), "\n")
	o := converge.Object{Key: want[0].Key}
	switch {
	case out.Code != 0:
		return nil, &converge.CommandError{Argv: []string{"perl", "-MDebconf::Db"}, Output: out, Hint: "is debconf installed on the host?"}
	case verdict == "same":
		o.Fields = want[0].Fields
	case verdict == "different" && r.secret():
		o.Fields = map[string]transport.Text{"answer": "another"}
	case verdict == "different" && answer == r.value:
		o.Fields = map[string]transport.Text{"answer": transport.Text(answer + " (by default)")}
	case verdict == "different":
		o.Fields = map[string]transport.Text{"answer": transport.Text(answer)}
	default:
		o.Absent = true
	}
	return []converge.Object{o}, nil
}

func (r *debconfResource) Apply(ctx context.Context, h transport.Host, _ []converge.Pair) error {
	line := r.stdin(fmt.Sprintf("%s %s %s %s\n", r.pkg, r.question, r.kind, r.value))
	return change(ctx, h, "debconf is locked while packages are installed; otherwise its complaint is above", line, "debconf-set-selections")
}
