package compose

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
)

// listener takes a port.
func listener(t *testing.T) (port string, release func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, func() { l.Close() }
}

func TestHolder_NamesProcess(t *testing.T) {
	port, release := listener(t)
	defer release()
	holder, taken, err := HostPorts{}.Holder(t.Context(), "127.0.0.1", port, "tcp")
	if err != nil || !taken {
		t.Fatalf("taken %v, %v", taken, err)
	}
	if want := fmt.Sprintf("(process %d)", os.Getpid()); runtime.GOOS == "linux" && !strings.HasSuffix(holder, want) {
		t.Errorf("got %q, want a name and %q", holder, want)
	}
}

func TestHolder_FreePort(t *testing.T) {
	port, release := listener(t)
	release()
	for _, protocol := range []string{"tcp", "udp"} {
		if holder, taken, err := (HostPorts{}).Holder(t.Context(), "127.0.0.1", port, protocol); holder != "" || taken || err != nil {
			t.Errorf("%s: got %q, %v, %v", protocol, holder, taken, err)
		}
	}
}

func TestHolder_OtherMachine(t *testing.T) {
	if _, taken, err := (HostPorts{}).Holder(t.Context(), "192.0.2.1", "8090", "tcp"); taken || err != nil {
		t.Errorf("taken %v, %v", taken, err)
	}
}

func TestHolder_UDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	if _, taken, err := (HostPorts{}).Holder(t.Context(), "127.0.0.1", port, "udp"); !taken || err != nil {
		t.Errorf("taken %v, %v", taken, err)
	}
}
