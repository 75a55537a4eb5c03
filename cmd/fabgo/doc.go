package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fabgo/builtins"
	"fabgo/bundles"
	"fabgo/internal/report"
	"fabgo/interp"
)

func (e *env) docCommand() *cobra.Command {
	var reference bool
	cmd := &cobra.Command{
		Use:   "doc [NAME]",
		Short: "Print how builtins are used",
		Long: `Doc prints the documentation of a builtin (file.put), of a family (file), of the facts (host), of
what builtins return (Change), of a library (@fab//nginx.star, or @acme//users.star of a module
that fab.mod requires) or of a bundle (./web1.star).
Without a name it lists them.`,
		Example: "  fabgo doc\n  fabgo doc file\n  fabgo doc file.put",
		Args:    takes(0, 1, "one name"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			in, err := builtins.Interp(interp.Options{Fab: bundles.Fab()})
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return (&docs{in: in}).topics(), cobra.ShellCompDirectiveDefault // bundles are files
		},
		RunE: func(_ *cobra.Command, args []string) error {
			in, err := builtins.Interp(interp.Options{Fab: bundles.Fab()})
			if err != nil {
				return err
			}
			d := &docs{w: e.Stdout, in: in, module: e.moduleFile}
			switch {
			case reference:
				return builtins.WriteReference(e.Stdout, in)
			case len(args) == 0:
				return d.all()
			}
			return d.one(args[0])
		},
	}
	cmd.Flags().BoolVar(&reference, "reference", false, "write the whole reference as Markdown")
	return cmd
}

type docs struct {
	w  io.Writer
	in *interp.Interp

	module func(name string) ([]byte, error) // reads @acme//nginx.star
}

func (d *docs) all() error {
	for i, f := range d.in.Families() {
		if i > 0 {
			fmt.Fprintln(d.w)
		}
		d.family(f)
	}
	w := tabwriter.NewWriter(d.w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nmore:\n")
	for _, v := range builtins.Values() {
		summary, _, _ := strings.Cut(v.Doc, ":")
		fmt.Fprintf(w, "  %s\t%s.\n", v.Name, summary)
	}
	libs, err := libraries()
	if err != nil {
		return err
	}
	for _, l := range libs {
		fmt.Fprintf(w, "  %s\tA library: %s\n", l.name, l.Summary)
	}
	w.Flush()
	_, err = fmt.Fprintf(d.w, "\nfabgo doc NAME prints one of them in full.\n")
	return err
}

// library is a file of the library inside the binary.
type library struct {
	name string // as load has it
	interp.FileDoc
}

func libraries() ([]library, error) {
	files, err := fs.Glob(bundles.Fab(), "*.star")
	if err != nil {
		return nil, err
	}
	var all []library
	for _, f := range files {
		src, err := fs.ReadFile(bundles.Fab(), f)
		if err != nil {
			return nil, err
		}
		doc, err := interp.ReadDoc("@fab//"+f, string(src))
		if err != nil {
			return nil, err
		}
		all = append(all, library{"@fab//" + f, *doc})
	}
	return all, nil
}

// topics are the names that doc knows, with a tab and their summaries behind.
func (d *docs) topics() []string {
	var all []string
	for _, s := range d.in.Docs() {
		all = append(all, s.Qualified()+"\t"+s.Summary)
	}
	for _, f := range d.in.Families() {
		if f.Name != "" {
			all = append(all, f.Name+"\t"+f.Summary)
		}
	}
	for _, f := range builtins.Facts() {
		all = append(all, "host."+f.Name+"\t"+f.Doc)
	}
	for _, v := range builtins.Values() {
		all = append(all, v.Name+"\t"+v.Doc)
	}
	libs, _ := libraries()
	for _, l := range libs {
		all = append(all, l.name+"\t"+l.Summary)
	}
	return all
}

// meant guesses which topic somebody meant who typed another name.
func (d *docs) meant(name string) string {
	var all, verbs []string
	for _, t := range d.topics() {
		topic, _, _ := strings.Cut(t, "\t")
		if _, verb, ok := strings.Cut(topic, "."); ok && verb == name || topic == "@fab//"+name+".star" {
			verbs = append(verbs, topic) // install for pkg.install, nginx for the library
		}
		all = append(all, topic)
	}
	if len(verbs) > 0 {
		return verbs[0]
	}
	return interp.Nearest(name, all)
}

func (d *docs) family(f interp.FileDoc) {
	title := f.Name
	if title == "" {
		title = "plain names"
	}
	fmt.Fprintf(d.w, "%s: %s\n", title, f.Summary)
	if f.Doc != "" {
		fmt.Fprintf(d.w, "\n%s\n\n", f.Doc)
	}
	w := tabwriter.NewWriter(d.w, 0, 0, 2, ' ', 0)
	for _, s := range f.Functions {
		fmt.Fprintf(w, "  %s\t%s\n", s.Qualified(), s.Summary)
	}
	w.Flush()
}

func (d *docs) one(name string) error {
	if fact, ok := strings.CutPrefix(name, "host."); ok && d.fact(fact) {
		return nil
	}
	if strings.HasSuffix(name, ".star") {
		return d.file(name)
	}
	for _, f := range d.in.Families() {
		if f.Name == name {
			d.family(f)
			if name == "host" {
				fmt.Fprintln(d.w)
				d.fact("")
			}
			return nil
		}
	}
	for _, v := range builtins.Values() {
		if v.Name == name {
			fmt.Fprintf(d.w, "%s: %s\n\n", v.Name, v.Doc)
			for _, a := range v.Attrs {
				fmt.Fprintf(d.w, "  .%s (%s)\n%s", a.Name, a.Type, indent(a.Doc, "      "))
			}
			return nil
		}
	}
	sig, _ := d.in.Doc(name)
	if sig == nil {
		if meant := d.meant(name); meant != "" {
			return usage("there is no builtin %q (did you mean %q?)", name, meant)
		}
		return usage("there is no builtin %q: fabgo doc lists them", name)
	}
	return d.function(*sig)
}

// fact prints a fact of the host by its name, or all of them for "". It reports whether there is any.
func (d *docs) fact(name string) (found bool) {
	for _, f := range builtins.Facts() {
		if name == "" || name == f.Name {
			fmt.Fprintf(d.w, "  host.%s (%s)\n%s", f.Name, f.Type, indent(f.Doc, "      "))
			found = true
		}
	}
	return found
}

// file prints the documentation of a library or a bundle, without running it.
func (d *docs) file(name string) error {
	var src []byte
	var err error
	if lib, ok := strings.CutPrefix(name, "@fab//"); ok {
		src, err = fs.ReadFile(bundles.Fab(), lib)
	} else if strings.HasPrefix(name, "@") {
		src, err = d.module(name)
	} else {
		src, err = os.ReadFile(name)
	}
	if err != nil {
		return invalid(err)
	}
	f, err := interp.ReadDoc(name, string(src))
	if err != nil {
		return invalid(err)
	}
	fmt.Fprintf(d.w, "%s: %s\n", report.Escape(name), report.Escape(f.Summary))
	if f.Doc != "" {
		fmt.Fprintf(d.w, "\n%s\n", escapeLines(f.Doc))
	}
	for _, s := range f.Functions {
		fmt.Fprintln(d.w)
		if err := d.function(s); err != nil {
			return err
		}
	}
	return nil
}

func (d *docs) function(s interp.Signature) error {
	fmt.Fprintf(d.w, "%s\n\n%s", s, indent(s.Summary, "    "))
	if s.Doc != "" {
		fmt.Fprintf(d.w, "\n%s", indent(s.Doc, "    "))
	}
	if len(s.Params) > 0 {
		fmt.Fprintf(d.w, "\nArguments:\n")
		for _, p := range s.Params {
			note := ""
			switch {
			case p.Required:
				note = ""
			case p.Default != "" && p.Default != "None" && p.Default != "...":
				note = " (default " + p.Default + ")"
			}
			fmt.Fprintf(d.w, "    %s%s\n%s", p.Name, note, indent(p.Doc, "        "))
		}
	}
	for _, sec := range []struct{ name, text string }{{"Returns", s.Returns}, {"Errors", s.Errors}, {"Example", s.Example}} {
		if sec.text != "" {
			fmt.Fprintf(d.w, "\n%s:\n%s", sec.name, indent(sec.text, "    "))
		}
	}
	return nil
}

// indent puts a margin before every line and ends the last one.
func indent(text, margin string) string {
	if text == "" {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		if line == "\n" {
			b.WriteString(line)
			continue
		}
		b.WriteString(margin + line)
	}
	return b.String()
}

// escapeLines escapes a text but for its line ends.
func escapeLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = report.Escape(l)
	}
	return strings.Join(lines, "\n")
}
