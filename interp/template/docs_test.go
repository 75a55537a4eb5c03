package template

import (
	"os"
	"strings"
	"testing"
)

// TestReference keeps the reference of the language complete: it names every filter with its arguments, every test and
// every function.
func TestReference(t *testing.T) {
	b, err := os.ReadFile("../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	for _, s := range filterTable() {
		if !strings.Contains(doc, "`"+strings.TrimSuffix(s.usage(), "()")+"`") {
			t.Errorf("docs/templates.md lacks the filter `%s`", strings.TrimSuffix(s.usage(), "()"))
		}
	}
	for _, s := range testTable() {
		if !strings.Contains(doc, "`is "+strings.TrimSuffix(s.usage(), "()")+"`") {
			t.Errorf("docs/templates.md lacks the test `is %s`", strings.TrimSuffix(s.usage(), "()"))
		}
	}
	for name := range functionTable() {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/templates.md lacks the function `%s`", name)
		}
	}
	for name := range refused {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/templates.md lacks the refused filter `%s`", name)
		}
	}
}
