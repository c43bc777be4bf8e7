//go:build integration

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/testcontainers/testcontainers-go"
)

// crashDatabase is the service name of the database that is made to crash.
const crashDatabase = "crash-postgres"

// crashPostgres makes a separate database crash while db-setup sets a password: a
// server whose process ends like that logs the statement, whatever its settings.
// It does so once with SIGKILL, as when memory runs out, and once with a fault;
// then with a statement that holds the canary; then the server itself is killed.
// It logs everything it can from the start.
func (p *project) crashPostgres(t *testing.T) {
	id := p.launch(t, crashDatabase, p.container(t, "postgres").ImageID, p.like(t, twin{
		of: "postgres", variables: []string{"PGDATA=/memory/keepmum", "CRASH_CANARY=" + p.audit.plain},
	}), func(r *testcontainers.ContainerRequest) {
		r.Cmd = []string{"postgres", "-c", "fsync=off", "-c", "log_min_messages=debug2", "-c", "log_statement=all", "-c", "log_min_duration_statement=0", "-c", "log_connections=on"}
		limit := r.HostConfigModifier
		r.HostConfigModifier = func(h *container.HostConfig) {
			limit(h)
			var kept []mount.Mount // not the volume, which another server uses
			for _, m := range h.Mounts {
				if m.Type != mount.TypeVolume {
					kept = append(kept, m)
				}
			}
			h.Mounts, h.Binds = kept, withoutVolumes(h.Binds)
			h.Tmpfs["/memory"] = "mode=1777"
			h.Ulimits = []*container.Ulimit{{Name: "core"}}
		}
	})
	p.awaitReady(t, id, "")
	p.psql(t, id, "create role app_a login")
	for _, how := range []struct{ name, signal string }{{"killed", "KILL"}, {"faulted", "SEGV"}} {
		// Until the server crashes, this blocks every other change of the role.
		p.inBackground(t, id, "begin; alter role app_a connection limit -1; select pg_sleep(600)", "select pg_sleep(600)")
		setup := p.launch(t, "crash-statement-"+how.name, p.container(t, "db-setup").ImageID,
			p.like(t, twin{of: "db-setup", variables: []string{"DB_HOST=" + crashDatabase, "CRASH_CANARY=" + p.audit.plain, "LOG_LEVEL=debug"}}))
		backend := p.backend(t, id, "alter role%password%")
		p.signal(t, setup, "KILL") // otherwise it tries again
		p.crashBackend(t, id, backend, how.signal, "LOGIN PASSWORD 'SCRAM-SHA-256$")
	}
	statement := "select pg_sleep(600), '" + p.audit.plain + "'"
	p.inBackground(t, id, statement, statement)
	p.crashBackend(t, id, p.backend(t, id, statement+"%"), "SEGV", p.audit.plain)
	p.signal(t, id, "QUIT")
	p.ended(t, id)
}

// withoutVolumes are the binds of files and directories of this machine.
func withoutVolumes(binds []string) []string {
	var kept []string
	for _, bind := range binds {
		if strings.HasPrefix(bind, "/") {
			kept = append(kept, bind)
		}
	}
	return kept
}

// signal sends a signal to a container.
func (p *project) signal(t *testing.T, id, signal string) {
	t.Helper()
	if err := p.docker.ContainerKill(t.Context(), id, signal); err != nil {
		t.Fatal(err)
	}
}

// psql runs a statement as the superuser and returns its result.
func (p *project) psql(t *testing.T, id, statement string) string {
	t.Helper()
	said := p.exec(t, id, "", "psql", "--no-psqlrc", "-U", "postgres", "-d", "odds", "-Atc", statement)
	if said.code != 0 {
		t.Fatalf("psql ended with %d: %s", said.code, p.audit.masked(said.stderr))
	}
	return strings.TrimSpace(said.stdout)
}

// inBackground starts statements, and waits until the last of them runs.
func (p *project) inBackground(t *testing.T, id, statements, last string) {
	t.Helper()
	said := p.exec(t, id, statements+";\n", "sh", "-c", "IFS= read -r statements; psql --no-psqlrc -U postgres -d odds -c \"$statements\" >/dev/null 2>&1 </dev/null &")
	if said.code != 0 {
		t.Fatalf("psql cannot be started: %d", said.code)
	}
	p.backend(t, id, "%"+last+"%")
}

// backend waits for the server process that runs a statement like this one.
func (p *project) backend(t *testing.T, id, like string) (pid string) {
	t.Helper()
	query := "select pid from pg_stat_activity where pid <> pg_backend_pid() and state = 'active' and query ilike '" + strings.ReplaceAll(like, "'", "''") + "'"
	poll(t, time.Minute, "a statement of the database that will crash", func() bool {
		pid = p.psql(t, id, query)
		return pid != "" && !strings.Contains(pid, "\n")
	})
	return pid
}

// crashBackend ends one process of the server, and requires that the server logs
// its statement, with this text in it, and comes up again.
func (p *project) crashBackend(t *testing.T, id, pid, signal, text string) {
	t.Helper()
	if said := p.exec(t, id, "", "sh", "-c", `kill -"$0" "$1"`, signal, pid); said.code != 0 {
		t.Fatalf("the process cannot be ended: %s", said.stderr)
	}
	crashed := "(PID " + pid + ") was terminated by signal "
	p.awaitReady(t, id, crashed)
	log := p.log(t, id, time.Time{})
	_, rest, _ := strings.Cut(log[strings.LastIndex(log, crashed):], "Failed process was running: ")
	statement, _, _ := strings.Cut(rest, "\n")
	if !strings.Contains(statement, text) {
		t.Errorf("the server does not log which statement was ended by %s, so its crash proves nothing", signal)
	}
}

// awaitReady waits until the server has come up after this text in its log, and
// accepts connections.
func (p *project) awaitReady(t *testing.T, id, since string) {
	t.Helper()
	poll(t, 2*time.Minute, "the database that crashes", func() bool {
		_, log, said := strings.Cut(p.log(t, id, time.Time{}), since)
		return said && strings.Contains(log, "database system is ready to accept connections") &&
			p.exec(t, id, "", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", "odds").code == 0
	})
}
