package envfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/envfile"
)

func ExampleParse() {
	file := "# database\nDB_HOST=db\nDB_PASSWORD=\"pa$SWORD1!\"\n"
	entries, problems := envfile.Parse([]byte(file), envfile.Options{File: ".env"})
	for _, e := range entries {
		fmt.Printf("%d %s %v\n", e.Line, e.Key, e.Value)
	}
	for _, p := range problems {
		fmt.Println(p)
	}
	// Output:
	// 2 DB_HOST ‹secret›
	// .env:3: DB_PASSWORD: two readings that differ: as written, and as Compose expands $ variables
}

func ExampleParse_asCompose() {
	file := "USER_NAME=app\nURL=pg://$USER_NAME@db\n"
	entries, _ := envfile.Parse([]byte(file), envfile.Options{AsCompose: []string{"URL"}})
	fmt.Println(entries[1].Value.RevealString())
	// Output: pg://app@db
}

func ExampleCommentOut() {
	file := "DB_HOST=db\nTLS_KEY='line 1\nline 2'\n"
	out, done := envfile.CommentOut([]byte(file), []string{"TLS_KEY"})
	fmt.Printf("%s%v\n", out, done)
	// Output:
	// DB_HOST=db
	// #TLS_KEY='line 1
	// #line 2'
	// [TLS_KEY]
}

// BenchmarkParse reads 10,000 keys.
func BenchmarkParse(b *testing.B) {
	var file strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&file, "KEY_%d='value %d of a secret'\n", i, i)
	}
	data := []byte(file.String())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if entries, _ := envfile.Parse(data, envfile.Options{}); len(entries) != 10_000 {
			b.Fatal(len(entries))
		}
	}
}
