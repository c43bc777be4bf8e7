package leaktest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"
)

// holder has fields of the types that hold values.
type holder struct {
	Secrets Secrets
	Check   Check
	Pointer *Check
}

// shapes are the ways to hold values in something that is printed.
func shapes(value []byte) map[string]any {
	held := Secrets{"B_NAME": value, "A_NAME": value}
	check := Check{Secrets: held, Containers: []Container{nil}, Further: map[string][]byte{"answer": value}}
	return map[string]any{
		"secrets": held, "pointer to secrets": &held, "check": check, "pointer to a check": &check,
		"fields": holder{held, check, &check}, "pointer to fields": &holder{held, check, &check},
		"map": map[string]any{"a": held, "b": check}, "map of secrets": map[string]Secrets{"a": held},
		"slice": []any{held, check}, "slice of secrets": []Secrets{held}, "slice of checks": []Check{check},
		"error": fmt.Errorf("with %v and %+v", held, check),
	}
}

// printers are the ways to print. None may show a value; an error counts as no
// text. The verbs %w and %p are left out, as the comment of Secrets says: fmt
// reports them as wrong and prints the fields without calling a method.
func printers() map[string]func(any) string {
	all := map[string]func(any) string{
		"json": func(v any) string { text, _ := json.Marshal(v); return string(text) },
		"xml":  func(v any) string { text, _ := xml.Marshal(v); return string(text) },
		"gob": func(v any) string {
			var b bytes.Buffer
			_ = gob.NewEncoder(&b).Encode(v)
			return b.String()
		},
		"template": func(v any) string {
			var b bytes.Buffer
			_ = template.Must(template.New("").Parse("{{.}} {{printf \"%x\" .}}")).Execute(&b, v)
			return b.String()
		},
		"slog text": func(v any) string {
			var b bytes.Buffer
			slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
			return b.String()
		},
		"slog json": func(v any) string {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
			return b.String()
		},
		"print": func(v any) string { return fmt.Sprint(v) + fmt.Sprintln(v) },
	}
	for _, flag := range []string{"", "+", "#", "-", " ", "0", "40", ".3", "+#40.3"} {
		for _, verb := range "vTtbcdoOqxXUeEfFgGs" {
			form := "%" + flag + string(verb)
			all[form] = func(v any) string { return fmt.Sprintf(form, v) }
		}
	}
	return all
}

// shows reports whether a text holds a value, or its bytes as numbers.
func shows(text string, value []byte) bool {
	numbers := func(form, between string) string {
		var all []string
		for _, b := range value {
			all = append(all, fmt.Sprintf(form, b))
		}
		return strings.Join(all, between)
	}
	for _, form := range []string{
		string(value), hex.EncodeToString(value), strings.ToUpper(hex.EncodeToString(value)), base64.StdEncoding.EncodeToString(value),
		numbers("%d", " "), numbers("%x", " "), numbers("%X", " "), numbers("%#x", ", "), numbers("%o", " "), numbers("%b", " "), numbers("%q", " "), numbers("U+%04X", " "),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

// TestSecretsAreNotPrinted by any verb or encoder, whatever holds them.
func TestSecretsAreNotPrinted(t *testing.T) {
	value := []byte(rand.Text())
	found := map[string]bool{}
	for name, print := range printers() {
		for shape, v := range shapes(value) {
			if shows(print(v), value) {
				t.Errorf("%s of %s shows a value", name, shape)
			}
		}
		// The same search finds a value outside of Secrets.
		found[name] = shows(print(map[string][]byte{"a": value}), value)
	}
	for _, name := range []string{"json", "gob", "template", "slog text", "slog json", "print", "%v", "%+v", "%#v", "%x", "%X", "%s", "%q", "%d", "%o", "%b", "%U"} {
		if !found[name] {
			t.Errorf("%s: a printed value is not found", name)
		}
	}
}

// TestSecretsShowNames in sorted order.
func TestSecretsShowNames(t *testing.T) {
	shapes := shapes([]byte(rand.Text()))
	check := "leaktest.Check{Secrets:[A_NAME B_NAME] Containers:1 InEnvironment:[] Further:[answer]}"
	for got, want := range map[string]string{
		fmt.Sprintf("%#v", shapes["secrets"]):            "leaktest.Secrets[A_NAME B_NAME]",
		fmt.Sprint(Secrets(nil)):                         "leaktest.Secrets[]",
		printers()["json"](shapes["secrets"]):            `["A_NAME","B_NAME"]`,
		printers()["json"](Secrets(nil)):                 `[]`,
		fmt.Sprintf("%x", shapes["check"]):               check,
		fmt.Sprintf("%+v", shapes["pointer to a check"]): check,
		printers()["json"](shapes["check"]):              `{"secrets":["A_NAME","B_NAME"],"containers":1,"inEnvironment":[],"further":["answer"]}`,
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if text := printers()["slog text"](shapes["secrets"]); !strings.HasSuffix(text, "v=\"[A_NAME B_NAME]\"\n") {
		t.Errorf("slog: %s", text)
	}
}
