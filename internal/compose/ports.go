package compose

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// HostPorts reports on the ports of this machine, on which Compose publishes.
// It is an ops.HostPorts.
type HostPorts struct{}

// Holder tries to listen on the port. If that fails because another
// process does already, it names that one, as far as this user may know it.
func (HostPorts) Holder(ctx context.Context, ip, port, protocol string) (holder string, taken bool, err error) {
	var listen net.ListenConfig
	address := net.JoinHostPort(ip, port)
	if protocol == "udp" {
		conn, err := listen.ListenPacket(ctx, "udp", address)
		if err == nil {
			return "", false, conn.Close()
		}
		return "", errors.Is(err, syscall.EADDRINUSE), nil
	}
	listener, err := listen.Listen(ctx, "tcp", address)
	if err == nil {
		return "", false, listener.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return "", false, nil // a port that only root may take, or an address of another machine: the engine may
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", true, nil
	}
	return holderOf("/proc", number), true, nil
}

// holderOf names the process that listens on a port, by Linux's proc file
// system. "" means that it cannot be known.
func holderOf(proc string, port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		listening(filepath.Join(proc, "net", table), port, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*")) // no error: the pattern is valid
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && inodes[target] {
			return process(filepath.Dir(filepath.Dir(link)))
		}
	}
	return ""
}

// process names the process of a directory in proc.
func process(dir string) string {
	name, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return "process " + filepath.Base(dir)
	}
	if strings.TrimSpace(string(name)) == "docker-proxy" {
		return "another container"
	}
	return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), filepath.Base(dir))
}

// listening enters the sockets of a table that listen on a port, as the links
// of their file descriptors name them.
func listening(table string, port int, inodes map[string]bool) {
	file, err := os.Open(table)
	if err != nil {
		return
	}
	defer file.Close()
	const local, state, inode, listens = 1, 3, 9, "0A"
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) <= inode || fields[state] != listens {
			continue
		}
		if _, hex, ok := strings.Cut(fields[local], ":"); ok && hex == fmt.Sprintf("%04X", port) {
			inodes["socket:["+fields[inode]+"]"] = true
		}
	}
}
