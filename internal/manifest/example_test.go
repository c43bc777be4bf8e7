package manifest_test

import (
	"fmt"

	"github.com/keepmum/keepmum/internal/manifest"
	"github.com/keepmum/keepmum/pkg/secrets"
)

func ExampleParse() {
	m, findings := manifest.Parse("docker-compose.yml", []byte(`
services:
  web:
    image: web
    secrets: [API_KYE]
secrets:
  API_KEY:
    file: ./secrets/API_KEY
    x-keepmum: {min_lenght: 32}
`))
	fmt.Println(m.Names())
	for _, f := range findings {
		fmt.Printf("%s:%d: %s: %s: %s\n", f.File, f.Line, f.Subject, f.Problem, f.Next)
	}
	// Output:
	// [API_KEY]
	// docker-compose.yml:5: web: is granted API_KYE, which is not declared: did you mean API_KEY?
	// docker-compose.yml:7: API_KEY: is granted to no service: write - API_KEY under secrets: of the service that needs it, or remove the declaration
	// docker-compose.yml:9: API_KEY: unknown key min_lenght in x-keepmum: did you mean min_length?
}

func ExampleDeclaration_Check() {
	d := manifest.Declaration{Name: "API_KEY", MinLength: 32}
	for _, p := range d.Check(secrets.New([]byte("<your-key>\n"))) {
		fmt.Println(p.Rule, p.What)
	}
	// Output:
	// min_length is shorter than the 32 bytes that min_length requires
	// newline ends with a newline, which programs that read the whole file treat as part of the value
	// placeholder is a placeholder, not a value
}

func ExampleDeclaration_Example() {
	d := manifest.Declaration{Name: "API_KEY", Description: "key of the provider, from the account page"}
	fmt.Printf("%s", d.Example())
	// Output: <changeme: API_KEY: key of the provider, from the account page>
}
