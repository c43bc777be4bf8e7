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

// HostPorts looks up ports of this machine, on which Compose publishes. It
// implements [stack.HostPorts].
type HostPorts struct{}

// Holder tries to listen on the port. If it is taken, holder names the process,
// "" if this user may not know it.
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
		return "", false, nil // only root may take the port, or the address is another machine's: left to the engine
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", true, nil
	}
	return holderOf("/proc", number), true, nil
}

// holderOf names the process that listens on a port, from Linux's proc file
// system, or returns "" if it is unknown.
func holderOf(proc string, port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		listening(filepath.Join(proc, "net", table), port, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	processes, err := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	if err != nil {
		return ""
	}
	for _, dir := range processes {
		links, err := filepath.Glob(filepath.Join(dir, "fd", "*"))
		if err != nil {
			continue
		}
		for _, link := range links {
			target, err := os.Readlink(link)
			if err == nil && inodes[target] {
				return process(dir)
			}
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

// listening adds the sockets of a table that listen on a port, named as in the
// links of file descriptors.
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
