package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/services/internal/service"
	"github.com/keepmum/keepmum/services/provider-sim/season"
)

func TestParseLogin(t *testing.T) {
	for login, want := range map[string]string{
		"app_a:secret":       "",
		"app_b:with:colon ~": "",
		"app_a":              "role:password",
		"":                   "role:password",
		"postgres:secret":    "neither app_a nor app_b",
		" app_a:secret":      "neither app_a nor app_b",
		"app_a:":             "is empty",
		"app_a:secret\n":     "a newline or another character",
		"app_a:pässword":     "a newline or another character",
	} {
		got, err := ParseLogin(secrets.New([]byte(login)))
		if want == "" {
			if err != nil || got.Role+":"+got.Password.RevealString() != login {
				t.Errorf("%q: %v", login, err)
			}
			continue
		}
		var config *service.ConfigError
		if !errors.As(err, &config) || config.Name != "DB_APP_LOGIN" || !strings.Contains(config.What, want) {
			t.Errorf("%q: %v, want %q", login, err, want)
		}
		if _, password, _ := strings.Cut(login, ":"); len(password) > 3 && strings.Contains(fmt.Sprintf("%+v", config), password) {
			t.Errorf("%q: the error holds the password", login)
		}
	}
}

// A server that holds the verifier can prove a password right, as RFC 5802
// section 3 says, and no other.
func TestVerifier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringMatching(`[ -~]{1,40}`).Draw(t, "password")
		other := rapid.StringMatching(`[ -~]{1,40}`).Draw(t, "other")
		salt := rapid.SliceOfN(rapid.Byte(), scramSaltBytes, scramSaltBytes).Draw(t, "salt")
		made, err := verifier(secrets.New([]byte(password)), salt)
		if err != nil {
			t.Fatal(err)
		}
		if !proves(t, made.RevealString(), password) {
			t.Fatalf("the verifier of a password does not verify it")
		}
		if other != password && proves(t, made.RevealString(), other) {
			t.Fatalf("the verifier verifies another password")
		}
	})
}

// proves does the server's part of SCRAM with a client that knows password.
func proves(t *rapid.T, verifier, password string) bool {
	head, keys, ok := strings.Cut(strings.TrimPrefix(verifier, "SCRAM-SHA-256$"), "$")
	iterations, salt64, ok2 := strings.Cut(head, ":")
	stored64, server64, ok3 := strings.Cut(keys, ":")
	n, err := strconv.Atoi(iterations)
	if !ok || !ok2 || !ok3 || err != nil || n != 4096 {
		t.Fatalf("not a verifier")
	}
	decode := func(text string) []byte {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatalf("not base64")
		}
		return data
	}
	salted, err := pbkdf2.Key(sha256.New, password, decode(salt64), n, 32)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(key, text []byte) []byte { h := hmac.New(sha256.New, key); h.Write(text); return h.Sum(nil) }
	message := []byte("the messages so far")
	// Client: proof = ClientKey xor HMAC(H(ClientKey), message).
	client := sum(salted, []byte("Client Key"))
	hashed := sha256.Sum256(client)
	proof := sum(hashed[:], message)
	for i := range proof {
		proof[i] ^= client[i]
	}
	// Server: undo the xor with the stored key and compare its hash.
	mask := sum(decode(stored64), message)
	for i := range proof {
		proof[i] ^= mask[i]
	}
	again := sha256.Sum256(proof)
	return hmac.Equal(again[:], decode(stored64)) && hmac.Equal(decode(server64), sum(salted, []byte("Server Key")))
}

func TestClassify(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		class Class
		says  string
	}{
		"wrong password": {&pgconn.PgError{Code: "28P01", Message: "canary"}, WrongPassword, "wrong password for role app_a (SQLSTATE 28P01)"},
		"no database":    {&pgconn.PgError{Code: "3D000", Message: "canary"}, NoDatabase, "DB_NAME"},
		"no table":       {&pgconn.PgError{Code: "42P01", Message: "canary"}, NoSchema, "run db-setup"},
		"no right":       {&pgconn.PgError{Code: "42501", Message: "canary"}, NoRight, "app_a lacks a right"},
		"starting":       {&pgconn.PgError{Code: "57P03", Message: "canary"}, Starting, "starting"},
		"too many":       {&pgconn.PgError{Code: "53300", Message: "canary"}, TooMany, "no connection left"},
		"cancelled":      {&pgconn.PgError{Code: "57014", Message: "canary"}, Slow, "in time"},
		"duplicate":      {&pgconn.PgError{Code: "23505", Message: "canary", Detail: "Key (canary)"}, Statement, "a statement failed (SQLSTATE 23505)"},
		"deadline":       {fmt.Errorf("canary: %w", context.DeadlineExceeded), Slow, "in time"},
		"host":           {&net.DNSError{Err: "canary"}, Unreachable, "DB_HOST"},
		"our own":        {fmt.Errorf("canary: %w", &Error{Class: NoRight, What: "x"}), NoRight, "x"},
		"anything":       {errors.New("canary"), Statement, "broke off"},
	} {
		err := classify(test.err, "app_a")
		var failure *Error
		if !errors.As(err, &failure) || failure.Class != test.class || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want class %s and %q", name, err, test.class, test.says)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "canary") {
			t.Errorf("%s: the error quotes: %v", name, err)
		}
	}
	if classify(nil, "") != nil {
		t.Error("nil became an error")
	}
	if err := classify(fmt.Errorf("x: %w", context.Canceled), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled became %v", err)
	}
}

// A failed connect: pgx's error leads to the configuration with the password,
// ours does not.
func TestConnectErrorHoldsNoPassword(t *testing.T) {
	const canary = "pw-canary-2f6d"
	target := Target{Host: "127.0.0.1", Port: 1, Database: "odds", Role: RoleA, Password: secrets.New([]byte(canary))}
	config, err := target.poolConfig()
	if err != nil {
		t.Fatal(err)
	}
	var connect *pgconn.ConnectError
	if _, err := pgx.ConnectConfig(t.Context(), config.ConnConfig); !errors.As(err, &connect) || connect.Config.Password != canary {
		t.Fatal("pgx's error does not lead to the password: this test proves nothing")
	}
	err = target.try(t.Context())
	if !IsClass(err, Unreachable) || errors.As(err, &connect) || strings.Contains(fmt.Sprintf("%+v %#v", err, err), canary) {
		t.Errorf("error %v", err)
	}
}

// Nothing is taken from the environment: neither an address nor a password.
func TestEnvironmentIsIgnored(t *testing.T) {
	for name, value := range map[string]string{
		"PGHOST": "elsewhere.invalid,other.invalid", "PGPORT": "1,2", "PGUSER": "someone", "PGPASSWORD": "other",
		"PGDATABASE": "other", "PGAPPNAME": "other", "PGOPTIONS": "-c x=y", "PGSSLMODE": "require", "PGREQUIREAUTH": "none",
		"PGTARGETSESSIONATTRS": "read-write",
	} {
		t.Setenv(name, value)
	}
	target := Target{Host: "db", Port: 7, Database: "odds", Role: RoleB, Password: secrets.New([]byte("mine")), Application: "me"}
	config, err := target.poolConfig()
	if err != nil {
		t.Fatal(err)
	}
	c := config.ConnConfig
	got := fmt.Sprint(c.Host, c.Port, c.User, c.Password == "mine", c.Database, c.RuntimeParams, len(c.Fallbacks), c.TLSConfig == nil, c.RequireAuth)
	if want := "db 7 app_b true odds map[application_name:me timezone:UTC] 0 true scram-sha-256"; normal(got) != normal(want) {
		t.Errorf("%s, want %s", got, want)
	}
	t.Setenv("PGPORT", "canary")
	if _, err := target.poolConfig(); err != nil && strings.Contains(err.Error(), "canary") {
		t.Errorf("the error quotes the environment: %v", err)
	}
}

// normal leaves out blanks: Sprint puts them between some operands alone.
func normal(text string) string { return strings.ReplaceAll(text, " ", "") }

// A server that asks for the password in the clear, or for none at all, is
// refused before anything is sent.
func TestPoolConfigRequiresSCRAM(t *testing.T) {
	const canary = "pw-canary-77e1"
	for name, answer := range map[string][]byte{
		"in the clear":   {'R', 0, 0, 0, 8, 0, 0, 0, 3},
		"md5":            {'R', 0, 0, 0, 12, 0, 0, 0, 5, 1, 2, 3, 4},
		"no password":    {'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I'},
		"no postgres":    []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"hangs up early": {},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			received := make(chan []byte, 1)
			go func() { received <- impersonate(listener, answer) }()
			target := Target{
				Host: "127.0.0.1", Port: uint16(listener.Addr().(*net.TCPAddr).Port), Database: "odds",
				Role: RoleA, Password: secrets.New([]byte(canary)),
			}
			if err := target.try(t.Context()); !IsClass(err, Unreachable) {
				t.Errorf("error %v", err)
			}
			got := <-received
			if bytes.Contains(got, []byte(canary)) || !bytes.Contains(got, []byte(RoleA)) {
				t.Errorf("the server received the password, or not even the role")
			}
		})
	}
}

// impersonate answers the first message and returns all that it received.
func impersonate(listener net.Listener, answer []byte) []byte {
	conn, err := listener.Accept()
	if err != nil {
		return nil
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	first := make([]byte, 4096)
	n, _ := conn.Read(first)
	_, _ = conn.Write(answer)
	if len(answer) == 0 {
		return first[:n]
	}
	rest, _ := io.ReadAll(conn)
	return append(first[:n], rest...)
}

func TestCanonicalTeam(t *testing.T) {
	if name, ok := CanonicalTeam("LA Clippers"); !ok || name != "Los Angeles Clippers" {
		t.Errorf("LA Clippers: %q, %v", name, ok)
	}
	for _, name := range []string{"", "Boston", "boston celtics", "Boston Celtics ", "Team LeBron"} {
		if _, ok := CanonicalTeam(name); ok {
			t.Errorf("%q is a team", name)
		}
	}
	for _, g := range season.New(season.Config{Seed: 1}).Games() {
		if name, ok := CanonicalTeam(g.Home.Name); !ok || name != g.Home.Name {
			t.Errorf("the simulator's team %q is not one of the store's", g.Home.Name)
		}
	}
}

func TestLimits(t *testing.T) {
	for n, want := range map[int]int{-1: 500, 0: 500, 7: 7, 1 << 30: 20000} {
		if got := limit(n); got != want {
			t.Errorf("limit(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestLockKeysDiffer(t *testing.T) {
	seen := map[int64]string{}
	for _, name := range []string{"schema", "odds-ingestion", "schedule-poller", "line-movement-analyzer", "prediction-service"} {
		if other, ok := seen[lockKey(name)]; ok {
			t.Errorf("%s and %s have one lock", name, other)
		}
		seen[lockKey(name)] = name
	}
}

// Every statement of the schema may run twice.
func TestSchemaIsIdempotent(t *testing.T) {
	statements := 0
	for statement := range strings.SplitSeq(schema, ";") {
		lines := []string{}
		for line := range strings.Lines(statement) {
			if code, _, _ := strings.Cut(line, "--"); strings.TrimSpace(code) != "" {
				lines = append(lines, strings.TrimSpace(code))
			}
		}
		if len(lines) == 0 {
			continue
		}
		statements++
		if !strings.Contains(lines[0], " IF NOT EXISTS ") && !strings.HasPrefix(lines[0], "CREATE OR REPLACE ") {
			t.Errorf("not idempotent: %s", lines[0])
		}
	}
	if statements < 10 {
		t.Errorf("only %d statements found", statements)
	}
}
