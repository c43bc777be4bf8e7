package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMounts describes every file; no file is an error.
func TestMounts(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if mounts(dir, &out) == nil || mounts(filepath.Join(dir, "none"), &out) == nil || out.Len() > 0 {
		t.Errorf("no file is not an error: %q", out.String())
	}
	for name, mode := range map[string]os.FileMode{"A": 0o400, "B": 0o444} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("abc"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := mounts(dir, &out); err != nil {
		t.Fatal(err)
	}
	var got []mountedFile
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	const digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-4, of "abc"
	if len(got) != 2 || got[0].Path != filepath.Join(dir, "A") || got[0].Mode != "0400" || got[1].Mode != "0444" || got[1].Size != 3 || got[1].Digest != digest {
		t.Errorf("%+v", got)
	}
	if uid, _, ok := strings.Cut(got[0].Owner, ":"); !ok || uid == "" {
		t.Errorf("owner %q", got[0].Owner)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "C")); err != nil {
		t.Fatal(err)
	}
	if mounts(dir, &out) == nil {
		t.Error("a file that cannot be described is not an error")
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "C")), os.Mkdir(filepath.Join(dir, "C"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if mounts(dir, &out) == nil {
		t.Error("a file that cannot be read is not an error")
	}
}

// TestRelay: input reaches the socket to its end, and the answer the output.
func TestRelay(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		asked, _ := io.ReadAll(conn)
		_, _ = conn.Write(append([]byte("answer to "), asked...))
	}()
	var out bytes.Buffer
	if err := relay(socket, strings.NewReader("question"), &out); err != nil || out.String() != "answer to question" {
		t.Errorf("%v, %q", err, out.String())
	}
	if relay(socket+"2", strings.NewReader(""), &out) == nil {
		t.Error("no socket is not an error")
	}
}

// TestResolver answers each question, by its id, with "no such name", and ends
// with the context.
func TestResolver(t *testing.T) {
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.LocalAddr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- resolver(ctx, address) }()
	asked := []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03api\x05local\x00\x00\x01\x00\x01 and more")
	want := []byte("\x12\x34\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x05local\x00\x00\x01\x00\x01")
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 512)
	for got, end := 0, time.Now().Add(20*time.Second); got == 0; { // until it listens
		if time.Now().After(end) {
			t.Fatal("no answer")
		}
		_, _ = conn.Write([]byte("short")) // gets none
		_, _ = conn.Write(asked)
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(answer)
		if got = n; err == nil && !bytes.Equal(answer[:n], want) {
			t.Errorf("the answer is %q, should be %q", answer[:n], want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if resolver(t.Context(), "127.0.0.1:no") == nil {
		t.Error("no address is not an error")
	}
	for _, whole := range []string{"\x00", "\x01a\x00\x00", "\x09"} {
		if got := question([]byte(whole)); !slices.Equal(got, []byte(whole)) {
			t.Errorf("%q is cut to %q", whole, got)
		}
	}
}
