//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// startupRecord is one record of a service's log.
type startupRecord struct {
	Level, Msg, Name, Next, Secret, Source, Place, Used, Hidden, Why, Role string
	Error                                                                  string
	Places                                                                 []string
	Problems                                                               int
}

// records are the log records of the container since its last start, from both
// streams. A line that is not a record is an error.
func (c *startupContainer) records(t *testing.T) []startupRecord {
	t.Helper()
	var all []startupRecord
	for line := range strings.Lines(c.log(t, c.id, time.Time{})[c.said:]) {
		var one startupRecord
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			if strings.HasSuffix(line, "\n") {
				t.Errorf("%s: a line of the log is not a record", c.name)
			}
			continue
		}
		all = append(all, one)
	}
	return all
}

// loaded requires that the container reports each of its secrets, from exactly
// these sources, and each hidden source by name.
func (c *startupContainer) loaded(t *testing.T, mounts []mountedSecret) {
	t.Helper()
	var want, got []string
	first := map[string]string{}
	for _, mounted := range mounts {
		place := startupPlace(mounted.source, mounted.secret)
		used, hidden := first[mounted.secret]
		if hidden {
			want = append(want, fmt.Sprintf("%s: used %s, hidden %s: it holds a different value", mounted.secret, used, place))
			continue
		}
		first[mounted.secret] = place
		want = append(want, fmt.Sprintf("%s: from %s, %s", mounted.secret, startupKind(mounted.source), place))
	}
	slices.Sort(want)
	poll(t, time.Minute, c.name+" reports where its secrets come from", func() bool {
		got = nil
		for _, one := range c.records(t) {
			switch one.Msg {
			case "secret loaded":
				got = append(got, fmt.Sprintf("%s: from %s, %s", one.Secret, one.Source, one.Place))
			case "a second source has this secret too":
				got = append(got, fmt.Sprintf("%s: used %s, hidden %s: %s", one.Secret, one.Used, one.Hidden, one.Why))
			}
		}
		return len(got) >= len(want)
	})
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%s reports\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// reportsSources asks the container itself, as a person would, where its secrets
// come from. It prints nothing else, so no value.
func (c *startupContainer) reportsSources(t *testing.T, mounts []mountedSecret) {
	t.Helper()
	if c.service == "db-setup" {
		return // it has ended
	}
	var want []string
	for _, mounted := range mounts {
		want = append(want, fmt.Sprintf("secret %s from %s, %s\n", mounted.secret, startupKind(mounted.source), startupPlace(mounted.source, mounted.secret)))
	}
	slices.Sort(want)
	var said output
	poll(t, time.Minute, c.name+" is healthy", func() bool {
		said = c.exec(t, c.id, "", "/"+c.service, "health", "-v")
		return said.code == 0
	})
	if said.stdout != "ok\n"+strings.Join(want, "") || said.stderr != "" {
		t.Errorf("%s reports\n%s%s", c.name, c.audit.masked(said.stdout), c.audit.masked(said.stderr))
	}
}

// accepts waits until it shows from outside that the container uses its value of
// a secret, and none of the others. It returns how it showed.
func (c *startupContainer) accepts(t *testing.T, secret string, others ...string) string {
	t.Helper()
	switch {
	case c.service == "db-setup" && secret == "DB_APP_LOGIN":
		return c.setsPassword(t, c.values[secret], others)
	case c.service == "provider-sim":
		return c.takesKey(t, secret, c.values[secret], others)
	case secret == "STRICT_API_TOKEN":
		return c.takesToken(t, c.values[secret], others)
	case secret == "DB_APP_LOGIN", secret == "DB_ADMIN_PASSWORD":
		return c.logsIn(t, secret)
	}
	return c.isCounted(t, secret)
}

// judges reports whether a service decides itself which value is right, so that
// no value is wrong for it.
func judges(service, secret string) bool {
	return service == "provider-sim" || secret == "STRICT_API_TOKEN" || service == "db-setup" && secret == "DB_APP_LOGIN"
}

// refused waits until it shows from outside that the value of the container is
// refused.
func (c *startupContainer) refused(t *testing.T, secret string) string {
	t.Helper()
	if secret == "DB_APP_LOGIN" || secret == "DB_ADMIN_PASSWORD" {
		return c.cannotLogIn(t, secret)
	}
	provider := startupProvider(secret)
	poll(t, time.Minute, c.name+" makes a call that the simulator refuses", func() bool {
		return c.count(t).Providers[provider].Refused > c.before.Providers[provider].Refused
	})
	if now := c.count(t); now.Providers[provider].Authenticated != c.before.Providers[provider].Authenticated {
		t.Errorf("the simulator has accepted a call of %s", c.name)
	}
	c.logs(t, "refuses "+secret)
	return "call refused"
}

// logs waits until a log record holds a text.
func (c *startupContainer) logs(t *testing.T, text string) {
	t.Helper()
	poll(t, time.Minute, c.name+" logs "+text, func() bool {
		return slices.ContainsFunc(c.records(t), func(r startupRecord) bool { return strings.Contains(r.Msg+"; "+r.Error, text) })
	})
}

// role is the role that a secret logs in as.
func (c *startupContainer) role(secret string) string {
	if secret == "DB_ADMIN_PASSWORD" {
		return "postgres"
	}
	role, _ := login(c.values[secret])
	return role
}

// logsIn waits until Postgres logs that it accepted a password from the address
// of this container, and authorized the role under the name of the service.
func (c *startupContainer) logsIn(t *testing.T, secret string) string {
	t.Helper()
	role := c.role(secret)
	poll(t, time.Minute, "Postgres lets in "+c.name, func() bool {
		return c.postgresLogs(fmt.Sprintf(`connection authenticated: identity="%s" method=scram-sha-256`, role)) &&
			c.postgresLogs(fmt.Sprintf("connection authorized: user=%s database=odds application_name=%s", role, c.service))
	})
	if c.service == "db-setup" {
		if code := c.ended(t, c.id); code != 0 {
			t.Errorf("%s ended with %d", c.name, code)
		}
	}
	return "login accepted"
}

// cannotLogIn waits until Postgres has refused the password and the service has
// logged that.
func (c *startupContainer) cannotLogIn(t *testing.T, secret string) string {
	t.Helper()
	role := c.role(secret)
	poll(t, time.Minute, "Postgres refuses "+c.name, func() bool {
		return c.postgresLogs(fmt.Sprintf("password authentication failed for user %q", role))
	})
	if c.postgresLogs(fmt.Sprintf("connection authorized: user=%s database=odds application_name=%s", role, c.service)) {
		t.Errorf("Postgres has let in %s", c.name)
	}
	if secret == "DB_APP_LOGIN" {
		c.logs(t, "wrong password for role "+role)
		return "login refused"
	}
	c.logs(t, "the database refuses it for role "+role)
	if code := c.ended(t, c.id); code != 3 {
		t.Errorf("%s ended with %d, want 3", c.name, code)
	}
	return "login refused"
}

// postgresLogs reports whether the log of the database since the last start of
// this container has a text about its address. A container that ends at once has
// no address when the test reads it: only one of those runs at a time.
func (c *startupContainer) postgresLogs(text string) bool {
	for line := range strings.Lines(c.databaseLog.String()[c.heard:]) {
		fields := strings.SplitN(line, " ", 5) // date, time, zone, address, text
		if len(fields) == 5 && strings.Contains(fields[4], text) && (c.host == fields[3] || c.host == "" && fields[3] != "[local]") {
			return true
		}
	}
	return false
}

// setsPassword waits until db-setup has ended, and requires that its role can log
// in with the new password, and with none of the others.
func (c *startupContainer) setsPassword(t *testing.T, value string, others []string) string {
	t.Helper()
	if code := c.ended(t, c.id); code != 0 {
		t.Fatalf("%s ended with %d", c.name, code)
	}
	c.logs(t, "the database is ready")
	role, password := login(value)
	if !c.startupLogin(t, c.database, "postgres", role, password) {
		t.Errorf("%s has not set the password of %s", c.name, role)
	}
	if c.lastRole != "" && c.lastRole != value {
		others = append(others, c.lastRole)
	}
	c.startup.lastRole = value
	for _, other := range others {
		if role, password := login(other); c.startupLogin(t, c.database, "postgres", role, password) {
			t.Errorf("after %s, %s logs in with another password", c.name, role)
		}
	}
	return "password set"
}

// startupLogin reports whether a database accepts a password over the network.
func (s *startup) startupLogin(t *testing.T, id, host, role, password string) bool {
	t.Helper()
	said := s.exec(t, id, password+"\n", "sh", "-c",
		`IFS= read -r PGPASSWORD; export PGPASSWORD; exec psql --no-psqlrc -h "$1" -U "$0" -d odds -Atc 'select current_user'`, role, host)
	if said.code != 0 && !strings.Contains(said.stderr, "password authentication failed") {
		t.Fatalf("psql ended with %d, and not because of the password: %s", said.code, s.audit.masked(said.stderr))
	}
	return said.code == 0 && strings.TrimSpace(said.stdout) == role
}

// startupProvider is the provider that accepts a key.
func startupProvider(secret string) string {
	return map[string]string{"THE_ODDS_API_KEY": "the-odds-api", "API_BASKETBALL_KEY": "api-basketball"}[secret]
}

// isCounted waits until the simulator has counted an authenticated call. It is
// from this container: no other container that runs at the time calls this
// provider.
func (c *startupContainer) isCounted(t *testing.T, secret string) string {
	t.Helper()
	provider := startupProvider(secret)
	if provider == "" {
		t.Fatalf("no way is known to see that %s uses %s", c.service, secret)
	}
	poll(t, time.Minute, "the simulator counts a call of "+c.name, func() bool {
		return c.count(t).Providers[provider].Authenticated > c.before.Providers[provider].Authenticated
	})
	if now := c.count(t); now.Providers[provider].Refused != c.before.Providers[provider].Refused {
		t.Errorf("the simulator has refused a call of %s", c.name)
	}
	return "call counted"
}

// takesKey requires that this simulator counts a call with its own key as
// authenticated, and calls with others as refused.
func (c *startupContainer) takesKey(t *testing.T, secret, value string, others []string) string {
	t.Helper()
	provider := startupProvider(secret)
	counted := func() struct{ Authenticated, Refused, Faults int } {
		_, body := startupAsk(t, c.address+"/sim/stats")
		return decoded[statistics](t, body).Providers[provider]
	}
	poll(t, time.Minute, "an answer of "+c.name, func() bool { code, _ := startupAsk(t, c.address+"/health"); return code == http.StatusOK })
	call := func(key string) {
		if secret == "THE_ODDS_API_KEY" {
			startupAsk(t, c.address+"/v4/sports/basketball_nba/odds?regions=us&apiKey="+key)
			return
		}
		startupAsk(t, c.address+"/games", "x-apisports-key: "+key)
	}
	before := counted()
	call(value)
	if now := counted(); now.Authenticated != before.Authenticated+1 || now.Refused != before.Refused {
		t.Errorf("%s does not take its %s", c.name, secret)
	}
	for i, other := range append(others, c.value(t, secret)) {
		call(other)
		if now := counted(); now.Authenticated != before.Authenticated+1 || now.Refused != before.Refused+i+1 {
			t.Errorf("%s takes another %s", c.name, secret)
		}
	}
	return "key accepted"
}

// takesToken requires that the API accepts its token and no other.
func (c *startupContainer) takesToken(t *testing.T, value string, others []string) string {
	t.Helper()
	poll(t, time.Minute, c.name+" takes its token", func() bool {
		code, _ := startupAsk(t, c.address+"/games?limit=1", "Authorization: Bearer "+value)
		if code == http.StatusUnauthorized {
			t.Fatalf("%s refuses its token", c.name)
		}
		return code == http.StatusOK
	})
	for _, other := range append(others, c.value(t, "STRICT_API_TOKEN")) {
		if code, _ := startupAsk(t, c.address+"/games?limit=1", "Authorization: Bearer "+other); code != http.StatusUnauthorized {
			t.Errorf("%s answers %d to another token", c.name, code)
		}
	}
	return "token accepted"
}

// startupAsk sends a request and returns status and body; 0 if there is no answer
// yet.
func startupAsk(t *testing.T, url string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal("invalid request")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(body)
}
