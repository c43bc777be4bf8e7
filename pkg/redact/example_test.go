package redact_test

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func example() *redact.Matcher {
	return redact.New([]secrets.Known{
		{Name: "API_KEY", Value: secrets.New([]byte("k-1234/5678+90"))},
		{Name: "PIN", Value: secrets.New([]byte("4711"))},
		{Name: "FLAG", Value: secrets.New([]byte("on"))},
	})
}

func Example() {
	matcher := example()
	fmt.Println(matcher.String("GET /odds?apiKey=k-1234%2F5678%2B90: 401"))
	fmt.Println(matcher.String(`{"authorization":"Basic dXNlcjprLTEyMzQvNTY3OCs5MA=="}`))
	// Output:
	// GET /odds?apiKey=‹API_KEY›: 401
	// {"authorization":"Basic dXNlcjp‹API_KEY›"}
}

func ExampleMatcher_Unmasked() {
	matcher := example()
	fmt.Println(matcher.String("pin 4711, order 47112, flag on"))
	fmt.Println("not masked:", matcher.Unmasked())
	// Output:
	// pin ‹PIN›, order 47112, flag on
	// not masked: [FLAG]
}

func ExampleMatcher_Writer() {
	w := example().Writer(os.Stdout)
	defer w.Close() // writes what is held back
	fmt.Fprint(w, "key: k-1234/")
	fmt.Fprintln(w, "5678+90")
	// Output: key: ‹API_KEY›
}

func ExampleMatcher_Handler() {
	text := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	logger := slog.New(example().Handler(text))
	logger.Error("upstream failed", "error", fmt.Errorf("get %q: no answer", "http://odds/?apiKey=k-1234/5678+90"))
	// Output: level=ERROR msg="upstream failed" error="get \"http://odds/?apiKey=‹API_KEY›\": no answer"
}

func ExampleMatcher_Find() {
	for _, match := range example().Find([]byte("one\ntwo ay0xMjM0LzU2NzgrOTA= k-1234/5678+90\n")) {
		fmt.Println(match.Name, match.Encoding, "line", match.Line, "bytes", match.Start, "to", match.End)
	}
	// Output:
	// API_KEY base64 line 2 bytes 8 to 28
	// API_KEY raw line 2 bytes 29 to 43
}
