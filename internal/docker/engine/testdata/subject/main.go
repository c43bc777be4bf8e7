// Command subject is what the contract tests run in containers.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run does what its first argument says.
func run(args []string) error {
	switch args[0] {
	case "read": // prove that a file can be read, by its size
		data, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		fmt.Println("read", len(data))
	case "write":
		return os.WriteFile(args[1], []byte("x"), 0o600)
	case "whoami":
		fmt.Println(os.Getuid(), os.Getgid())
	case "long": // a line much longer than the engine's 16 KiB pieces, on each stream
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		fmt.Println(string(bytes.Repeat([]byte("o"), n)))
		fmt.Fprintln(os.Stderr, string(bytes.Repeat([]byte("e"), n)))
	case "exit":
		code, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "dial": // connect our streams to a socket
		conn, err := net.Dial("unix", args[1])
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(conn, os.Stdin) }()
		_, err = io.Copy(os.Stdout, conn)
		return err
	case "tick": // a line at once and another each tenth of a second
		for i := 0; ; i++ {
			fmt.Println("tick", i)
			time.Sleep(100 * time.Millisecond)
		}
	}
	return nil
}
