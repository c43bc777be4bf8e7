//go:build integration && unix

package integration

import (
	bits "encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// linuxOnly are scripts that mount file systems or read processes.
var linuxOnly = []string{"disk.txtar", "port.txtar", "unreadable.txtar"}

// TestEngineTranscripts runs the scripts that need an engine. Each has its own
// Compose project, whose name replaces the word PROJECT in its files, and which
// is removed with everything that belongs to it.
func TestEngineTranscripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/engine/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		if runtime.GOOS != "linux" && slices.Contains(linuxOnly, filepath.Base(script)) {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			p := &project{t: t}
			p.connect()
			p.takeHome()
			p.tagImages(t)
			params := params(t, "", p.scriptEnvironment()...)
			params.Files = []string{script}
			params.Cmds["cutoff"], params.Cmds["proxy"], params.Cmds["listen"], params.Cmds["deny"] = p.cutOff, p.proxyCommand, listen, deny
			setup := params.Setup
			params.Setup = func(e *testscript.Env) error { return errors.Join(setup(e), p.nameProject(e)) }
			t.Parallel()
			testscript.Run(t, params)
		})
	}
}

// scriptImages are the images that scripts use, by the word that is replaced by
// their name. keepmum takes an image of a project of this test as it is; those
// named keepmum/NAME:dev it would build from source.
var scriptImages = map[string]string{"SIM": "keepmum/provider-sim:dev", "SETUP": "keepmum/db-setup:dev", "ANALYZER": "keepmum/line-movement-analyzer:dev"}

// tagImages gives the images their additional names.
func (p *project) tagImages(t *testing.T) {
	t.Helper()
	for word, name := range scriptImages {
		if _, err := p.docker.ImageInspect(t.Context(), name); err != nil {
			t.Fatalf("%s is not on the engine: build it with: go tool mage build:images", name)
		}
		if err := p.docker.ImageTag(t.Context(), name, p.imageOf(word)); err != nil {
			t.Fatal(err)
		}
	}
}

// imageOf is the additional name of an image.
func (p *project) imageOf(word string) string {
	return imagePrefix + strings.ToLower(word) + ":" + p.name
}

// deny UID FILE: add an entry to the access list of a file that denies one user.
// The mode of the file does not show it.
func deny(ts *testscript.TestScript, _ bool, args []string) {
	uid, err := strconv.ParseUint(args[0], 10, 32)
	ts.Check(err)
	const read, noID = 4, 0xffffffff
	list := bits.LittleEndian.AppendUint32(nil, 2) // the version, then owner, user, group, mask and others
	for _, entry := range []struct {
		tag, may uint16
		id       uint32
	}{{0x01, read, noID}, {0x02, 0, uint32(uid)}, {0x04, read, noID}, {0x10, read, noID}, {0x20, read, noID}} {
		list = bits.LittleEndian.AppendUint16(list, entry.tag)
		list = bits.LittleEndian.AppendUint16(list, entry.may)
		list = bits.LittleEndian.AppendUint32(list, entry.id)
	}
	ts.Check(unix.Setxattr(ts.MkAbs(args[1]), "system.posix_acl_access", list, 0))
}

// postgresImage is the image of Postgres that the engine has.
func (p *project) postgresImage() string {
	if named := os.Getenv("KEEPMUM_POSTGRES_IMAGE"); named != "" {
		return named
	}
	found, err := p.docker.ImageList(p.t.Context(), image.ListOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	own := ""
	for _, one := range found {
		for _, tag := range one.RepoTags {
			if tag == "postgres:17" {
				return tag
			}
			if strings.HasPrefix(tag, "keepmum/postgres:") && tag > own {
				own = tag
			}
		}
	}
	return own
}

// scriptEnvironment is the environment of scripts in addition to the variables of
// testscript: those that choose the engine, and the Compose that was built
// before.
func (p *project) scriptEnvironment() []string {
	p.t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		p.t.Fatal(err)
	}
	own := filepath.Join(p.home, "cache", "keepmum")
	if err := errors.Join(os.MkdirAll(own, 0o700), os.MkdirAll(filepath.Join(cache, "keepmum", "compose"), 0o700), os.Symlink(filepath.Join(cache, "keepmum", "compose"), filepath.Join(own, "compose"))); err != nil {
		p.t.Fatal(err)
	}
	env := []string{"XDG_CACHE_HOME=" + filepath.Dir(own), "KEEPMUM_POSTGRES_IMAGE=" + p.postgresImage()}
	for _, name := range []string{"HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	unshare := "unshare -m"
	if os.Geteuid() != 0 {
		unshare = "unshare -rm"
	}
	return append(env, "UNSHARE="+unshare)
}

// nameProject puts the names of project and images into the files of the script.
func (p *project) nameProject(e *testscript.Env) error {
	files, err := filepath.Glob(filepath.Join(e.WorkDir, "*.yml"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, errors.New("the script has no compose file"))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(data), "PROJECT", p.name)
		for word := range scriptImages {
			text = strings.ReplaceAll(text, "image: "+word, "image: "+p.imageOf(word))
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	e.Setenv("PROJECT", p.name)
	return nil
}

// upstream dials the real engine.
func (p *project) upstream() (net.Conn, error) {
	scheme, address, _ := strings.Cut(p.engine.Endpoint().Host, "://")
	return net.Dial(scheme, address)
}

// passage forwards connections to the engine until it is cut.
type passage struct {
	listener net.Listener
	mu       sync.Mutex
	open     []net.Conn
	broken   bool
}

// pass starts a passage behind a listener.
func (p *project) pass(listener net.Listener) *passage {
	through := &passage{listener: listener}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			engine, err := p.upstream()
			if err != nil {
				conn.Close()
				continue
			}
			if !through.keep(conn, engine) {
				continue
			}
			go carry(engine, conn)
			go carry(conn, engine)
		}
	}()
	return through
}

// carry copies one direction to its end, and closes the other side.
func carry(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
}

// keep remembers connections; false if the passage is cut.
func (t *passage) keep(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = append(t.open, conns...)
	if t.broken {
		t.closeAll()
	}
	return !t.broken
}

// cut ends every connection and accepts no more.
func (t *passage) cut() {
	_ = t.listener.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = true
	t.closeAll()
}

// closeAll closes the connections. The caller holds the lock.
func (t *passage) closeAll() {
	for _, conn := range t.open {
		_ = conn.Close()
	}
	t.open = nil
}

// proxy: make the engine answer at a TCP address of this machine other than
// loopback, as a remote engine would, and use it from now on.
func (p *project) proxyCommand(ts *testscript.TestScript, _ bool, _ []string) {
	addresses, err := net.InterfaceAddrs()
	ts.Check(err)
	for _, address := range addresses {
		ip, ok := address.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.To4() == nil {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(ip.IP.String(), "0"))
		if err != nil {
			continue
		}
		through := p.pass(listener)
		ts.Defer(through.cut)
		ts.Setenv("DOCKER_HOST", "tcp://"+listener.Addr().String())
		return
	}
	ts.Fatalf("this machine has only a loopback address")
}

// cutoff REGEXP ARGS...: run the binary over a passage to the engine, and cut it
// when the output matches, as if the engine had stopped. Soon after that, exit
// code 4 is required, with an error and a next command.
func (p *project) cutOff(ts *testscript.TestScript, _ bool, args []string) {
	socket := filepath.Join(p.home, "engine.sock")
	listener, err := net.Listen("unix", socket)
	ts.Check(err)
	through := p.pass(listener)
	defer through.cut()
	cmd := command(ts, args[1:])
	cmd.Env = append(slices.DeleteFunc(cmd.Env, func(pair string) bool { return strings.HasPrefix(pair, "DOCKER_HOST=") }), "DOCKER_HOST=unix://"+socket)
	stdout, stderr := &watched{}, &watched{}
	stdout.until(regexp.MustCompile(args[0]))
	stderr.until(regexp.MustCompile(args[0]))
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())
	defer cmd.Process.Kill()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-stdout.reached:
	case <-stderr.reached:
	case err := <-ended:
		ts.Fatalf("the command ended before the engine could stop: %v\n%s", err, stderr)
	case <-time.After(reach):
		ts.Fatalf("the output never matched\n%s", stderr)
	}
	through.cut()
	begun := time.Now()
	select {
	case err = <-ended:
	case <-time.After(reach):
		ts.Fatalf("the command did not end without the engine\n%s", stderr)
	}
	took := time.Since(begun)
	t := of(ts)
	t.last = said{stdout.String(), stderr.String()}
	t.output.WriteString(t.last.stdout + t.last.stderr)
	_, _ = io.WriteString(ts.Stdout(), t.last.stdout)
	_, _ = io.WriteString(ts.Stderr(), t.last.stderr)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 4 {
		ts.Fatalf("ended with %v, want exit code 4", err)
	}
	if took > 10*time.Second {
		ts.Fatalf("the command took %s to notice", took)
	}
	requireError(ts, t.last.stderr)
	if slices.Contains(args, "-json") {
		requireDocument(ts, t.last.stdout)
	} else if t.last.stdout != "" && args[1] != "stack:logs" {
		ts.Fatalf("standard output is not empty")
	}
}

// listen NAME: hold a port of this machine and put its number into a variable.
func listen(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	ts.Check(err)
	ts.Setenv(args[0], port)
}
