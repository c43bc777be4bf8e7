//go:build unix

package imagebuild

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// server runs the entrypoint over fakes of Postgres's programs, which record
// their arguments and environment.
type server struct {
	t   *testing.T
	dir string
	env map[string]string
}

const password = `S3cr"et $HOME 'x' \n %s`

func newServer(t *testing.T) server {
	t.Helper()
	s := server{t, t.TempDir(), map[string]string{}}
	s.env["PATH"] = filepath.Join(s.dir, "bin") + ":/usr/bin:/bin"
	s.env["PGDATA"] = filepath.Join(s.dir, "data")
	s.env["KEEPMUM_INITDB_DIR"] = filepath.Join(s.dir, "initdb.d")
	for _, dir := range []string{"bin", "initdb.d"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.put("entrypoint.sh", entrypoint)
	s.program("id", `echo 1000`) // the tests may run as root
	s.program("sync", `:`)
	s.program("initdb", `d=
while [ $# -gt 0 ]; do case $1 in --pgdata) d=$2; shift;; --pwfile) cat "$2" >DIR/password; shift;; esac; shift; done
mkdir -p "$d/base"; echo 15 >"$d/PG_VERSION"; echo hba >"$d/pg_hba.conf"
if [ -e DIR/die ]; then exit 1; fi`)
	s.program("pg_ctl", `:`)
	s.program("psql", `cat >>DIR/sql </dev/stdin; while [ $# -gt 0 ]; do case $1 in --file) cat "$2" >>DIR/sql; shift;; esac; shift; done`)
	s.program("postgres", `:`)
	return s
}

func (s server) put(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// program writes a fake.
func (s server) program(name, text string) {
	s.t.Helper()
	text = "#!/bin/sh\necho " + name + " \"$*\" >>DIR/calls; env >>DIR/env." + name + "\n" + text + "\n"
	path := filepath.Join(s.dir, "bin", name)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", s.dir)), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// run runs the entrypoint and returns its output.
func (s server) run(args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), "/bin/sh", append([]string{filepath.Join(s.dir, "entrypoint.sh")}, args...)...)
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Stdin = &out, &out, nil
	err := cmd.Run()
	return out.String(), err
}

func (s server) file(name string) string {
	data, _ := os.ReadFile(filepath.Join(s.dir, name))
	return string(data)
}

// calls returns the programs that were run, except id and sync.
func (s server) calls() []string {
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(s.file("calls")), "\n") {
		if name, _, _ := strings.Cut(line, " "); name != "id" && name != "sync" {
			names = append(names, name)
		}
	}
	return names
}

// silent fails if a program got the password in its arguments or environment.
func (s server) silent() {
	s.t.Helper()
	for _, name := range append([]string{"calls"}, "env.initdb", "env.pg_ctl", "env.psql", "env.postgres") {
		if strings.Contains(s.file(name), "S3cr") {
			s.t.Errorf("the password is in %s", name)
		}
	}
}

func TestEntrypoint_FirstStartCreatesTheDatabase(t *testing.T) {
	for _, source := range []string{"file", "variable"} {
		t.Run(source, func(t *testing.T) {
			s := newServer(t)
			s.env["POSTGRES_DB"] = "odds"
			if source == "file" {
				s.put("password.txt", password+"\n")
				s.env["POSTGRES_PASSWORD_FILE"] = filepath.Join(s.dir, "password.txt")
			} else {
				s.env["POSTGRES_PASSWORD"] = password
			}
			s.put("initdb.d/20.sql", "SELECT 20;\n")
			s.put("initdb.d/10.sh", "echo script $POSTGRES_DB ${POSTGRES_PASSWORD-none} >"+s.dir+"/script\n")
			s.put("initdb.d/README", "ignored")
			said, err := s.run("-c", "max_connections=17")
			if err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			if s.file("password") != password+"\n" {
				t.Error("initdb got another password")
			}
			if got, want := s.calls(), []string{"initdb", "pg_ctl", "psql", "psql", "pg_ctl", "postgres"}; !slices.Equal(got, want) {
				t.Errorf("ran %v, want %v", got, want)
			}
			if !strings.Contains(s.file("calls"), "postgres -c max_connections=17\n") || !strings.Contains(s.file("calls"), "--auth-host scram-sha-256") {
				t.Errorf("calls: %s", s.file("calls"))
			}
			if s.file("script") != "script odds none\n" || !strings.Contains(s.file("sql"), "SELECT 20;") || !strings.Contains(s.file("sql"), `CREATE DATABASE :"name";`) {
				t.Errorf("scripts: %q, sql %q", s.file("script"), s.file("sql"))
			}
			if s.file("data/PG_VERSION") != "15\n" || !strings.HasSuffix(s.file("data/pg_hba.conf"), "\nhost all all all scram-sha-256\n") {
				t.Error("the database is not in place")
			}
			if _, err := os.Stat(filepath.Join(s.dir, "data", ".new")); err == nil {
				t.Error("the working directory is left")
			}
			if strings.Contains(s.file("env.postgres"), "POSTGRES_") || strings.Contains(s.file("env.postgres"), "PGHOST") {
				t.Errorf("the server's environment: %s", s.file("env.postgres"))
			}
			s.silent()

			before := len(s.calls())
			if said, err := s.run(); err != nil {
				t.Fatalf("the second start: %v: %s", err, said)
			}
			if got := s.calls()[before:]; !slices.Equal(got, []string{"postgres"}) {
				t.Errorf("the second start ran %v", got)
			}
		})
	}
}

func TestEntrypoint_InterruptedFirstStartStartsOver(t *testing.T) {
	s := newServer(t)
	s.env["POSTGRES_PASSWORD"] = password
	s.put("die", "")
	if said, err := s.run(); err == nil {
		t.Fatalf("a failed initdb counts as a success: %s", said)
	}
	if s.file("data/PG_VERSION") != "" {
		t.Error("a half-made database is in place")
	}
	// As if it had been killed while it moved files into place.
	s.put("data/pg_hba.conf", "half")
	if err := os.MkdirAll(filepath.Join(s.dir, "data", "base", "half"), 0o700); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(s.dir, "die"))
	said, err := s.run()
	if err != nil || !strings.Contains(said, "starting over") || s.file("data/PG_VERSION") != "15\n" || strings.HasPrefix(s.file("data/pg_hba.conf"), "half") {
		t.Errorf("%v: %s", err, said)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, "data", "base", "*")); len(left) != 0 {
		t.Errorf("left of the first start: %v", left)
	}
	s.silent()
}

func TestEntrypoint_Refuses(t *testing.T) {
	for _, test := range []struct {
		name    string
		arrange func(server)
		want    string
	}{
		{"no password", func(server) {}, "no password for a new database"},
		{"an empty one", func(s server) { s.env["POSTGRES_PASSWORD"] = "" }, "no password for a new database"},
		{"both", func(s server) {
			s.env["POSTGRES_PASSWORD"], s.env["POSTGRES_PASSWORD_FILE"] = password, filepath.Join(s.dir, "entrypoint.sh")
		}, "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set"},
		{"an absent file", func(s server) { s.env["POSTGRES_PASSWORD_FILE"] = filepath.Join(s.dir, "absent") }, "which user 1000 cannot read"},
		{"a directory", func(s server) { s.env["POSTGRES_PASSWORD_FILE"] = s.dir }, "which user 1000 cannot read"},
		{"an empty file", func(s server) {
			s.put("empty", "\n")
			s.env["POSTGRES_PASSWORD_FILE"] = filepath.Join(s.dir, "empty")
		}, "which is empty"},
		{"two lines", func(s server) { s.env["POSTGRES_PASSWORD"] = password + "\nmore" }, "POSTGRES_PASSWORD has more than one line"},
		{"trust", func(s server) {
			s.env["POSTGRES_PASSWORD"], s.env["POSTGRES_HOST_AUTH_METHOD"] = password, "trust"
		}, "POSTGRES_HOST_AUTH_METHOD is not supported"},
		{"files that are not a database", func(s server) {
			s.env["POSTGRES_PASSWORD"] = password
			_ = os.Mkdir(filepath.Join(s.dir, "data"), 0o700)
			s.put("data/precious", "x")
		}, "contains files but no database"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			test.arrange(s)
			said, err := s.run()
			if err == nil || !strings.Contains(said, test.want) || strings.Contains(said, "S3cr") {
				t.Errorf("%v: %s, want %q", err, strings.ReplaceAll(said, password, "PASSWORD"), test.want)
			}
			if slices.Contains(s.calls(), "postgres") {
				t.Error("the server was started")
			}
		})
	}
}

func TestEntrypoint_LeavesOtherProgramsAlone(t *testing.T) {
	s := newServer(t)
	for _, args := range [][]string{{"psql", "--version"}, {"postgres", "--version"}, {"--help"}} {
		if said, err := s.run(args...); err != nil {
			t.Errorf("%v: %v: %s", args, err, said)
		}
	}
	if got := s.calls(); !slices.Equal(got, []string{"psql", "postgres", "postgres"}) {
		t.Errorf("ran %v", got)
	}
}
