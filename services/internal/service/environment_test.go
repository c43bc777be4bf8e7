package service

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

type Embedded struct {
	Host string `env:"HOST"`
	Port uint16 `env:"PORT,default=5432"`
}

type everyKind struct {
	Embedded
	Seed     uint64        `env:"SEED,default=1"`
	Speed    float64       `env:"SPEED,default=1.5"`
	Interval time.Duration `env:"INTERVAL,default=30s"`
	URL      *url.URL      `env:"URL,default=http://host:80/base"`
	Ignored  string
	//lint:ignore U1000 fields without a tag are left alone
	ignored string
}

func load(environment map[string]string) (everyKind, []problem) {
	var config everyKind
	problems := loadEnvironment(&config, func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	})
	return config, problems
}

func TestDefaults(t *testing.T) {
	config, problems := load(map[string]string{"HOST": "db", "PORT": ""})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := fmt.Sprint(config.Host, config.Port, config.Seed, config.Speed, config.Interval, config.URL)
	if want := "db5432 1 1.5 30s http://host:80/base"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestParsingIsStrict(t *testing.T) {
	for name, bad := range map[string][]string{
		"PORT":     {"0", "65536", "-1", "80 ", "http", "0x50"},
		"SEED":     {"-1", "1.0", "1e3", " 1", "1_000", "many", "18446744073709551616"},
		"SPEED":    {"fast", "NaN", "Inf", "-inf", "1,5", "1e999"},
		"INTERVAL": {"30", "-5s", "5 s", "half a minute"},
		"URL":      {"host:80", "ftp://host", "http://", "http://user:pass@host", "http://host?key=1", "http://host/#a", "http://ho st", "//host", "http://host:port"},
		"HOST":     {""},
	} {
		for _, text := range bad {
			environment := map[string]string{"HOST": "db"}
			environment[name] = text
			_, problems := load(environment)
			if len(problems) != 1 || problems[0].name != name {
				t.Errorf("%s=%q: problems %v, want one of %s", name, text, problems, name)
			}
		}
	}
}

// A secret may be in the wrong variable.
func TestProblemsQuoteNoValue(t *testing.T) {
	const canary = "canary-12ab"
	environment := map[string]string{}
	for _, name := range []string{"PORT", "SEED", "SPEED", "INTERVAL", "URL"} {
		environment[name] = canary
	}
	_, problems := load(environment)
	if len(problems) != 6 || strings.Contains(fmt.Sprintf("%v %+v", problems, problems), canary) {
		t.Errorf("%d problems, want 6, none of which quotes the value: %v", len(problems), problems)
	}
}

func TestConfigReportsAllProblems(t *testing.T) {
	_, problems := load(map[string]string{"PORT": "x", "SPEED": "x", "URL": "x"})
	if len(problems) != 4 {
		t.Errorf("%d problems, want 4: %v", len(problems), problems)
	}
}

func TestKindThatCannotBeRead(t *testing.T) {
	var config struct {
		List []string `env:"LIST"`
	}
	problems := loadEnvironment(&config, func(string) (string, bool) { return "a,b", true })
	if len(problems) != 1 || !strings.Contains(problems[0].what, "[]string") {
		t.Errorf("problems %v", problems)
	}
}

func TestProblemOnOneLine(t *testing.T) {
	p := problem{name: "KEY", what: "not found", places: []string{"a", "b"}, next: "set it"}
	if got, want := p.String(), "KEY: not found (looked in a, b); set it"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
