// Command probe reports which of the named files its user can read, and shows
// nothing of their content. stack:up runs it in a container, with a service's
// user and mounts, before it starts anything.
//
// It prints a line for each argument: a word, a space, the path. The words are
// ok, empty, missing, denied, directory and broken.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

func main() {
	for _, path := range os.Args[1:] {
		fmt.Fprintln(os.Stdout, look(path), path)
	}
}

// look returns the word for a file.
func look(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return word(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return "directory"
	}
	switch _, err := file.Read(make([]byte, 1)); {
	case err == io.EOF:
		return "empty"
	case err != nil:
		return word(err)
	}
	return "ok"
}

// word returns the word for an error of opening or reading.
func word(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case errors.Is(err, fs.ErrPermission):
		return "denied"
	}
	return "broken"
}
