package secrets_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/keepmum/keepmum/pkg/secrets"
)

// A value is not shown unless it is revealed.
func ExampleSecret() {
	password := secrets.New([]byte("hunter2"))
	fmt.Println(password)
	fmt.Printf("%+v %#v %q %x\n", struct{ P secrets.Secret }{password}, password, password, password)
	fmt.Println(len(password.RevealString()))
	// Output:
	// ‹secret›
	// {P:‹secret›} ‹secret› ‹secret› ‹secret›
	// 7
}

// Equal compares in constant time; == does not compile.
func ExampleSecret_Equal() {
	token := secrets.New([]byte("right"))
	fmt.Println(token.Equal(secrets.New([]byte("right"))), token.Equal(secrets.New([]byte("wrong"))))
	// Output: true false
}

// The simple call: declare, load, stop if that fails.
func ExampleLoad() {
	var config struct {
		Key secrets.Secret `secret:"EXAMPLE_API_KEY"`
	}
	_, err := secrets.Load(&config)
	fmt.Println(err)
	// Output:
	// secrets: 1 problem:
	//   EXAMPLE_API_KEY: not found; looked in /run/secrets/EXAMPLE_API_KEY, ./secrets/EXAMPLE_API_KEY, $EXAMPLE_API_KEY, $EXAMPLE_API_KEY_FILE
	//     store it with: mage secrets:set EXAMPLE_API_KEY, and grant it to the service in docker-compose.yml
}

// With options: other places, JSON, a default, and where each value came from.
func ExampleLoader_Load() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "DB"), []byte(`{"user": "app", "password": "hunter2"}`), 0o444); err != nil {
		fmt.Println(err)
		return
	}
	var config struct {
		DB struct {
			User     string
			Password secrets.Secret
		} `secret:"DB,json"`
		Level string `secret:"LOG_TOKEN,optional,default=none"`
	}
	loader := secrets.Loader{DockerDir: dir, Environment: "development"}
	report, err := loader.Load(&config)
	fmt.Println(config, err)
	for _, one := range report.Loaded {
		fmt.Println(one.Name, one.Kind, filepath.Base(one.Place))
	}
	// Output:
	// {{app ‹secret›} none} <nil>
	// DB docker DB
	// LOG_TOKEN default default
}

// A nested struct may give its fields a prefix.
func ExampleLoader_Load_prefix() {
	type login struct {
		User     string         `secret:"USER"`
		Password secrets.Secret `secret:"PASSWORD"`
	}
	var config struct {
		Reader login  `secret:"READER_,prefix"`
		Writer *login `secret:"WRITER_,prefix"`
	}
	_, err := secrets.Loader{Source: secrets.Map(map[string]string{
		"READER_USER": "r", "READER_PASSWORD": "x", "WRITER_USER": "w", "WRITER_PASSWORD": "y",
	})}.Load(&config)
	fmt.Println(config.Reader.User, config.Writer.User, err)
	// Output: r w <nil>
}

// A program can find out what kind of problem it has.
func ExampleLoadError() {
	var config struct {
		A secrets.Secret `secret:"A"`
		B map[string]int `secret:"B,json"`
	}
	_, err := secrets.Loader{Source: secrets.Map(map[string]string{"B": "{"})}.Load(&config)
	fmt.Println(errors.Is(err, secrets.ErrMissing), errors.Is(err, secrets.ErrInvalid), errors.Is(err, secrets.ErrRefused))
	var all *secrets.LoadError
	if errors.As(err, &all) {
		for _, one := range all.Problems {
			fmt.Println(one.Name, "·", one.Reason, "·", one.Places)
		}
	}
	// Output:
	// true true false
	// A · not found · [map]
	// B · map: the value is not valid json · []
}

// vault is a custom source: it has one method.
type vault map[string]string

func (v vault) Lookup(name string) (secrets.Found, error) {
	found := secrets.Found{Kind: "vault", Place: "vault:kv/" + name}
	value, ok := v[name]
	if !ok {
		return found, secrets.ErrAbsent
	}
	found.Value = secrets.New([]byte(value))
	return found, nil
}

// Sources can be combined; the first that has the secret wins.
func ExampleChain() {
	source := secrets.Chain(vault{"A": "1"}, secrets.Map(map[string]string{"A": "2", "B": "2"}))
	for _, name := range []string{"A", "B", "C"} {
		found, err := source.Lookup(name)
		fmt.Println(name, found.Kind, found.Place, err)
	}
	// Output:
	// A vault vault:kv/A <nil>
	// B map map <nil>
	// C  vault:kv/C, map not found in vault:kv/C, map
}
