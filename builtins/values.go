package builtins

// ValueDoc documents a kind of value that builtins return.
type ValueDoc struct {
	Name  string
	Doc   string
	Attrs []Fact
}

// Values lists what builtins return.
func Values() []ValueDoc {
	return []ValueDoc{
		{"Change", "What a changing builtin returns: true when something changed, or, in a plan, would or may.", []Fact{
			{"changed", "bool", "the same as its truth"},
			{"diff", "list", "what differed: structs with object, attr, old, new and text (of contents: a unified diff)"},
			{"resource", "string", "what it is about, such as \"file:/etc/motd\""},
			{"status", "string", "ok, changed, unknown (only in a plan) or skipped"},
		}},
		{"Result", "What run and query return: true when the command succeeded. In a plan the output of a run is unknown: reading it ends the plan for the host.", []Fact{
			{"changed", "bool", "whether a run ran; in a plan, whether it would"},
			{"code", "int", "exit code"},
			{"ok", "bool", "the same as its truth"},
			{"ran", "bool", "False when a guard such as creates kept it from running, and in a plan"},
			{"stderr", "string", "what it wrote on its standard error"},
			{"stdout", "string", "what it wrote on its standard output, with the newline at the end: .strip() drops that"},
		}},
	}
}

// attrNames are the documented attributes of a kind of value.
func attrNames(kind string) []string {
	var names []string
	for _, v := range Values() {
		if v.Name != kind {
			continue
		}
		for _, a := range v.Attrs {
			names = append(names, a.Name)
		}
	}
	return names
}
