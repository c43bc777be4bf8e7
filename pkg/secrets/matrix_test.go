package secrets_test

import (
	"bytes"
	"database/sql/driver"
	"encoding/base64"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"expvar"
	"fmt"
	htmltemplate "html/template"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/kr/pretty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
)

// leaky is a secret without any protection: the control that every part of the
// matrix must find.
type leaky string

// wrapped is an error that shows its content.
type wrapped[T any] struct{ inner T }

func (w wrapped[T]) Error() string { return fmt.Sprintf("refused: %v", w.inner) }

type embedding[T any] struct{ Embedded T }

// shapes puts v into everything a value can be printed from.
func shapes[T any](v T) map[string]any {
	return map[string]any{
		"value":           v,
		"pointer":         &v,
		"field":           struct{ F T }{v},
		"unexported":      struct{ f T }{v},
		"pointer field":   struct{ F *T }{&v},
		"any field":       struct{ F any }{v},
		"embedded":        struct{ embedding[T] }{embedding[T]{v}},
		"pointer struct":  &struct{ F T }{v},
		"map value":       map[string]T{"k": v},
		"slice":           []T{v},
		"pointer slice":   []*T{&v},
		"array":           [1]T{v},
		"slice of any":    []any{v},
		"nested":          map[string][]struct{ F, g T }{"k": {{v, v}}},
		"error":           wrapped[T]{v},
		"pointer error":   &wrapped[T]{v},
		"wrapped error":   fmt.Errorf("start: %w", wrapped[T]{v}),
		"joined error":    errors.Join(wrapped[T]{v}, errors.New("other")),
		"generated names": map[string]any{"a": struct{ F []T }{[]T{v}}},
	}
}

// printers are all the ways to print a value; other is a different value in the
// same shape, for the printers that show differences.
func printers() map[string]func(v, other any) string {
	all := map[string]func(v, other any) string{
		"print":        func(v, _ any) string { return fmt.Sprint(v) },
		"println":      func(v, _ any) string { return fmt.Sprintln("a", v, "b") },
		"append":       func(v, _ any) string { return string(fmt.Append(nil, v)) },
		"errorf":       func(v, _ any) string { return fmt.Errorf("at %v: %w", v, errors.New("x")).Error() },
		"log":          printLog,
		"json":         func(v, _ any) string { return text(json.Marshal(v)) },
		"json indent":  func(v, _ any) string { return text(json.MarshalIndent(v, "", " ")) },
		"yaml":         printYAML,
		"xml":          func(v, _ any) string { return text(xml.Marshal(v)) },
		"gob":          printGob,
		"binary":       printBinary,
		"sql":          printSQL,
		"expvar":       func(v, _ any) string { return expvar.Func(func() any { return v }).String() },
		"template":     printTemplate,
		"html":         printHTML,
		"slog text":    func(v, _ any) string { return printSlog(v, textHandler) },
		"slog json":    func(v, _ any) string { return printSlog(v, jsonHandler) },
		"recover":      printRecover,
		"testify":      printTestify,
		"testify more": printTestifyMore,
		"cmp":          printCmp,
		"kr":           func(v, other any) string { return pretty.Sprint(v) + strings.Join(pretty.Diff(v, other), "\n") },
	}
	for _, verb := range verbs() {
		all[verb] = func(v, _ any) string { return fmt.Sprintf(verb, v) }
	}
	return all
}

// verbs are all verbs of fmt, with all flags, and three that do not exist.
func verbs() []string {
	var all []string
	for _, verb := range "vTtbcoOdqxXUeEfFgGspwyZ" {
		for _, flags := range []string{"", "+", "#", " ", "0", "-", "# ", "+#", "20", ".3", "-20.40"} {
			all = append(all, "%"+flags+string(verb))
		}
	}
	return all
}

func text(b []byte, err error) string { return fmt.Sprintf("%s %v", b, err) }

func printLog(v, _ any) string {
	var b bytes.Buffer
	log.New(&b, "", 0).Printf("config %v %+v %#v", v, v, v)
	return b.String()
}

func printYAML(v, _ any) (out string) {
	defer func() {
		if r := recover(); r != nil {
			out = fmt.Sprint(r)
		}
	}()
	return text(yaml.Marshal(v))
}

func printGob(v, _ any) string {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.String() + fmt.Sprint(err)
}

func printBinary(v, _ any) string {
	var b bytes.Buffer
	err := binary.Write(&b, binary.BigEndian, v)
	return b.String() + fmt.Sprint(err)
}

func printSQL(v, _ any) string {
	got, err := driver.DefaultParameterConverter.ConvertValue(v)
	return fmt.Sprint(got, err)
}

func printTemplate(v, _ any) string {
	var b bytes.Buffer
	err := template.Must(template.New("").Parse(`{{.}} {{printf "%q %x" . .}}`)).Execute(&b, v)
	return b.String() + fmt.Sprint(err)
}

func printHTML(v, _ any) string {
	var b bytes.Buffer
	page := `<p title="{{.}}">{{.}}</p><script>x = {{.}}</script><a href="/?q={{.}}">`
	err := htmltemplate.Must(htmltemplate.New("").Parse(page)).Execute(&b, v)
	return b.String() + fmt.Sprint(err)
}

func textHandler(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }
func jsonHandler(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }

func printSlog(v any, handler func(*bytes.Buffer) slog.Handler) string {
	var b bytes.Buffer
	logger := slog.New(handler(&b))
	logger.With("config", v).WithGroup("g").Info("start", "v", v, slog.Group("h", "v", v))
	return b.String()
}

func printRecover(v, _ any) (out string) {
	defer func() { out = fmt.Sprint(recover()) + string(debug.Stack()) }()
	panic(v)
}

// recorder records the failures of an assertion.
type recorder struct{ strings.Builder }

func (r *recorder) Errorf(format string, args ...any) { fmt.Fprintf(r, format, args...) }
func (r *recorder) FailNow()                          {}

func printTestify(v, other any) string {
	var r recorder
	assert.Equal(&r, other, v)
	return r.String()
}

func printTestifyMore(v, other any) string {
	var r recorder
	require.Equal(&r, v, other)
	assert.EqualValues(&r, v, other)
	assert.Exactly(&r, v, other)
	assert.Nil(&r, v)
	assert.Empty(&r, v)
	assert.Contains(&r, []any{other}, v)
	assert.ElementsMatch(&r, []any{other}, []any{v})
	assert.IsType(&r, 1, v)
	assert.Failf(&r, "failed", "with %v %+v %#v", v, v, v)
	return r.String()
}

func printCmp(v, other any) string {
	return cmp.Diff(other, v, cmp.Exporter(func(reflect.Type) bool { return true }))
}

// forms returns the forms in which a value can appear in a text.
func forms(value string) []string {
	b := []byte(value)
	list := func(format, between string) string {
		var all []string
		for _, c := range b {
			all = append(all, fmt.Sprintf(format, c))
		}
		return strings.Join(all, between)
	}
	base := base64.StdEncoding.EncodeToString
	return []string{
		value, hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
		base(b)[:len(value)], base(append([]byte("x"), b...))[4:len(value)], base(append([]byte("xx"), b...))[4:len(value)],
		list("%d", " "), list("%d", ", "), list("%d", ","), list("%d", "\n"),
		list("0x%02x", ", "), list("0x%x", ", "), list("0x%02x", " "), list("0X%02X", " "), list("%02x", " "), list("%02X", " "), list("%02x", "  "),
		list("%o", " "), list("%b", " "), list("U+%04X", " "), list("%c", " "), list("%q", " "), list("\\x%02x", ""),
	}
}

// shows names the form in which text shows value, or "" if it does not. Three
// bytes count as a leak: "%.3s" prints as many.
func shows(text, value string) string {
	for i, form := range forms(value) {
		if strings.Contains(text, form) {
			return fmt.Sprintf("form %d", i)
		}
	}
	for _, part := range []string{value[:3], hex.EncodeToString([]byte(value[:3])), strings.ToUpper(hex.EncodeToString([]byte(value[:3])))} {
		if strings.Contains(text, part) {
			return "the first three bytes"
		}
	}
	return ""
}

// canShow is false for the few printers that never print a value: with them the
// control cannot be found either.
func canShow(printer string) bool {
	if strings.HasPrefix(printer, "%") {
		return !strings.HasSuffix(printer, "T")
	}
	return printer != "binary"
}

const matrixValue = "Zq7~wJ4#kM9!vX2^hT5&"
const otherValue = "Yp6=uH3+jL8-bC1*gS0_"

// TestSecretShowsNowhere puts a Secret through shapes × printers. The same
// search must find the control in every printer, and in every shape.
func TestSecretShowsNowhere(t *testing.T) {
	control, controlOther := shapes(leaky(matrixValue)), shapes(leaky(otherValue))
	secret, secretOther := shapes(secrets.New([]byte(matrixValue))), shapes(secrets.New([]byte(otherValue)))
	foundByPrinter, foundByShape, cells := map[string]int{}, map[string]int{}, 0
	for printer, print := range printers() {
		for shape := range secret {
			cells++
			if shows(print(control[shape], controlOther[shape]), matrixValue) != "" {
				foundByPrinter[printer]++
				foundByShape[shape]++
			}
			out := print(secret[shape], secretOther[shape])
			for _, value := range []string{matrixValue, otherValue} {
				if form := shows(out, value); form != "" {
					t.Errorf("%s of %s shows the value (%s)", printer, shape, form)
				}
			}
		}
	}
	for printer := range printers() {
		if canShow(printer) != (foundByPrinter[printer] > 0) {
			t.Errorf("%s: the control was found %d times", printer, foundByPrinter[printer])
		}
	}
	for shape := range secret {
		if foundByShape[shape] < 10 { // pointers inside show as addresses
			t.Errorf("%s: the control was found only %d times", shape, foundByShape[shape])
		}
	}
	if cells < 5000 {
		t.Errorf("the matrix has only %d cells", cells)
	}
	t.Logf("%d cells", cells)
}

// The silenced types are shapes that Secret does not have, with the method that
// people rely on.
type silencedString string

func (silencedString) String() string { return "***" }

type silencedBytes struct{ value []byte }

func (silencedBytes) String() string { return "***" }

type silencedPointer struct{ value *string }

func (silencedPointer) String() string { return "***" }

// TestOtherShapesLeak is the table of ADR 0002: every other shape shows the value
// somewhere, for example in an unexported field.
func TestOtherShapesLeak(t *testing.T) {
	a, b := matrixValue, otherValue
	type field[T any] struct{ f T }
	for name, out := range map[string]string{
		"string, fmt":      fmt.Sprint(field[silencedString]{silencedString(a)}),
		"string, verb":     fmt.Sprintf("%#v", silencedString(a)),
		"string, json":     text(json.Marshal(silencedString(a))),
		"bytes, fmt":       fmt.Sprint(field[silencedBytes]{silencedBytes{[]byte(a)}}),
		"bytes, testify":   printTestify(field[silencedBytes]{silencedBytes{[]byte(a)}}, field[silencedBytes]{silencedBytes{[]byte(b)}}),
		"pointer, testify": printTestify(field[silencedPointer]{silencedPointer{&a}}, field[silencedPointer]{silencedPointer{&b}}),
		"pointer, kr":      pretty.Sprint(field[silencedPointer]{silencedPointer{&a}}),
	} {
		if shows(out, matrixValue) == "" {
			t.Errorf("%s: the value is no longer shown: a reason for the func is gone", name)
		}
	}
}

// TestPanicShowsNothing crashes a child process with each shape, and with the
// control.
func TestPanicShowsNothing(t *testing.T) {
	if shape := os.Getenv("SECRETS_TEST_PANIC"); shape != "" {
		if os.Getenv("SECRETS_TEST_CONTROL") != "" {
			panic(shapes(leaky(matrixValue))[shape])
		}
		panic(shapes(secrets.New([]byte(matrixValue)))[shape])
	}
	crash := func(shape, control string) string {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanicShowsNothing$")
		child.Env = append(os.Environ(), "GOTRACEBACK=all", "SECRETS_TEST_PANIC="+shape, "SECRETS_TEST_CONTROL="+control)
		out, err := child.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "panic: ") {
			t.Errorf("the child did not panic on %s", shape)
		}
		return string(out)
	}
	found := 0
	for shape := range shapes(0) {
		if form := shows(crash(shape, ""), matrixValue); form != "" {
			t.Errorf("a panic with %s shows the value (%s)", shape, form)
		}
		if shows(crash(shape, "1"), matrixValue) != "" {
			found++
		}
	}
	if found < 4 {
		t.Errorf("the control was found in only %d panics", found)
	}
}

// TestShowsFindsEachForm checks the search itself.
func TestShowsFindsEachForm(t *testing.T) {
	for i, form := range forms(matrixValue) {
		if shows("before "+form+" after", matrixValue) == "" {
			t.Errorf("form %d is not found", i)
		}
	}
	if shows("a text without it", matrixValue) != "" {
		t.Error("found in a text that does not contain it")
	}
}

// TestSecretFormatsAsMask: every printer that shows a value at all shows the mask.
func TestSecretFormatsAsMask(t *testing.T) {
	s, zero := secrets.New([]byte(matrixValue)), secrets.Secret{}
	for _, one := range []secrets.Secret{s, zero} {
		for _, verb := range verbs() {
			if strings.ContainsRune("Tpw", rune(verb[len(verb)-1])) {
				continue // fmt does not ask the value
			}
			if got := fmt.Sprintf(verb, one); got != "‹secret›" {
				t.Errorf("%s gives %q", verb, got)
			}
		}
		for name, got := range map[string]string{
			"String": one.String(), "GoString": one.GoString(), "slog": one.LogValue().String(),
			"json": text(json.Marshal(one)), "text": text(one.MarshalText()), "yaml": text(yaml.Marshal(one)),
			"json key": text(json.Marshal(map[string]secrets.Secret{"k": one})),
		} {
			if !strings.Contains(got, "‹secret›") {
				t.Errorf("%s gives %q", name, got)
			}
		}
	}
}

// TestSecretRejectsBinaryEncoding: a program must not decode a mask as the value.
func TestSecretRejectsBinaryEncoding(t *testing.T) {
	s := secrets.New([]byte(matrixValue))
	_, binaryErr := s.MarshalBinary()
	_, gobErr := s.GobEncode()
	streamErr := gob.NewEncoder(&bytes.Buffer{}).Encode(struct{ S secrets.Secret }{s})
	for _, err := range []error{binaryErr, gobErr, streamErr} {
		if err == nil || !strings.Contains(err.Error(), "cannot be encoded") {
			t.Errorf("got %v", err)
		}
	}
}

// TestSecretRejectsDecoding: only a JSON string can be decoded into a Secret,
// and no error quotes the input.
func TestSecretRejectsDecoding(t *testing.T) {
	var s secrets.Secret
	number := "8675309867530986753"
	for name, err := range map[string]error{
		"text":          s.UnmarshalText([]byte(matrixValue)),
		"yaml":          yaml.Unmarshal([]byte("s: "+number), &struct{ S *secrets.Secret }{&s}),
		"yaml map":      yaml.Unmarshal([]byte("{s: {"+number+": 1}}"), &struct{ S *secrets.Secret }{&s}),
		"xml":           xml.Unmarshal([]byte("<S>"+number+"</S>"), &s),
		"json number":   json.Unmarshal([]byte(number), &s),
		"json object":   json.Unmarshal([]byte(`{"a":"`+number+`"}`), &s),
		"json mask":     json.Unmarshal([]byte(`"‹secret›"`), &s),
		"json in field": json.Unmarshal([]byte(`{"S":[`+number+`]}`), &struct{ S *secrets.Secret }{&s}),
		"empty":         s.UnmarshalJSON(nil),
		"direct":        s.UnmarshalJSON([]byte(`"` + number)),
	} {
		if err == nil {
			t.Errorf("%s is accepted", name)
		} else if strings.Contains(err.Error(), number[:7]) || strings.Contains(err.Error(), matrixValue) {
			t.Errorf("%s: the error quotes the input", name)
		}
		if !s.IsZero() {
			t.Errorf("%s: the secret was set", name)
		}
	}
	if err := json.Unmarshal([]byte(`"a\u0041\n"`), &s); err != nil {
		t.Fatal(err)
	}
	secretstest.Holds(t, s, "aA\n")
	if err := json.Unmarshal([]byte(`null`), &s); err != nil || s.RevealString() != "aA\n" {
		t.Error("null changes the secret")
	}
}

// TestSecretRejectsReflection: reflection sees the closure but cannot call it.
func TestSecretRejectsReflection(t *testing.T) {
	field := reflect.ValueOf(secrets.New([]byte(matrixValue))).Field(0)
	defer func() {
		if recover() == nil {
			t.Error("reflection calls the closure")
		}
	}()
	if field.Kind() != reflect.Func || field.CanInterface() || field.CanSet() {
		t.Error("the field is accessible to reflection")
	}
	field.Call(nil)
}

// TestMatrixCoversEveryMethod fails when Secret gets a method that no test above
// covers.
func TestMatrixCoversEveryMethod(t *testing.T) {
	known := []string{
		"Equal", "Format", "GoString", "GobEncode", "IsZero", "LogValue", "MarshalBinary", "MarshalJSON", "MarshalText",
		"MarshalYAML", "Reveal", "RevealString", "String", "UnmarshalJSON", "UnmarshalText",
	}
	var got []string
	methods := reflect.TypeFor[*secrets.Secret]()
	for i := range methods.NumMethod() {
		got = append(got, methods.Method(i).Name)
	}
	slices.Sort(got)
	if !slices.Equal(got, known) {
		t.Errorf("methods are %v", got)
	}
}
