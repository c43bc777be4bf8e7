package manifest

import (
	"strings"
	"testing"
)

// declared is a compose file with these lines, from line 3 on, under secrets:.
func declared(lines string) string {
	return "services: {web: {image: x, secrets: [KEY]}}\nsecrets:\n  " + strings.ReplaceAll(lines, "\n", "\n  ") + "\n"
}

// Where the value of a secret is, and what it may be called.
func TestParse_Declarations(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"KEY: {file: ./secrets/KEY}", nil},
		{"KEY: {file: secrets/KEY}", nil},
		{"KEY: {file: ./secrets/../secrets/KEY}", nil},
		{"KEY:", []string{"3 KEY | does not say where its value is stored | write file: ./secrets/KEY below it"}},
		{"KEY: text", []string{"3 KEY | does not say where its value is stored | write file: ./secrets/KEY below it"}},
		{"KEY: [file]", []string{"3 KEY | does not say where its value is stored | write file: ./secrets/KEY below it"}},
		{"KEY: {}", []string{"3 KEY | does not say where its value is stored | write file: ./secrets/KEY below it"}},
		{"KEY: {file: }", []string{"3 KEY | does not say where its value is stored | write file: ./secrets/KEY below it"}},
		{"KEY: {file: [a]}", []string{"3 KEY | its file is not ./secrets/KEY, the only place where keepmum looks | write file: ./secrets/KEY"}},
		{"KEY: {file: ./KEY}", []string{"3 KEY | its file is not ./secrets/KEY, the only place where keepmum looks | write file: ./secrets/KEY"}},
		{"KEY: {file: ./secrets/key}", []string{"3 KEY | its file is not ./secrets/KEY, the only place where keepmum looks | write file: ./secrets/KEY"}},
		{"KEY: {file: /run/secrets/KEY}", []string{"3 KEY | its file is not ./secrets/KEY, the only place where keepmum looks | write file: ./secrets/KEY"}},
		{"KEY: {environment: KEY}", []string{"3 KEY | takes its value from an environment variable, which Compose fills from .env | write file: ./secrets/KEY instead of environment:, then mage secrets:fromEnv"}},
		{"KEY: {environment: OTHER, file: ./secrets/KEY}", []string{"3 KEY | takes its value from an environment variable, which Compose fills from .env | write file: ./secrets/KEY instead of environment:, then mage secrets:fromEnv"}},
		{"KEY: {external: true}", []string{"3 KEY | external secrets exist only in a Swarm; Compose cannot mount one | write file: ./secrets/KEY, and keep external: true for docker-compose.swarm.yml"}},
		{"KEY: {external: false, file: ./secrets/KEY}", nil},
		{"KEY: {external: {name: a}}", []string{"3 KEY | external secrets exist only in a Swarm; Compose cannot mount one | write file: ./secrets/KEY, and keep external: true for docker-compose.swarm.yml"}},
		{"KEY: {file: ./secrets/KEY, driver: x}", []string{"3 KEY | Compose has no secret drivers and would ignore driver | remove driver"}},
		{"KEY: {file: ./secrets/KEY, template_driver: x}", []string{"3 KEY | Compose has no secret drivers and would ignore template_driver | remove template_driver"}},
		{"KEY: {file: ./secrets/KEY, driver_opts: {a: b}}", nil},
		{"KEY: {file: ./secrets/KEY, name: other}", nil},
		{"KEY: {file: ./secrets/KEY, labels: {a: b}}", nil},
		{"KEY: {file: ./secrets/KEY, x-keepmumm: {}}", []string{"3 KEY | unknown key x-keepmumm | did you mean x-keepmum?"}},
		{"KEY: {file: ./secrets/KEY, x-kepmum: {}}", []string{"3 KEY | unknown key x-kepmum | did you mean x-keepmum?"}},
		{"KEY: {file: ./secrets/KEY, x-other: {}}", nil},
		{"KEY: {file: ./secrets/KEY, x-keepmum: }", nil},
		{"KEY: {file: ./secrets/KEY, x-keepmum: []}", []string{"3 KEY | x-keepmum must be a mapping of rules | write one rule per line below it: description, min_length, max_length, pattern, type, newline, optional, default, generate, rotate_every"}},
		{"KEY: {file: ./secrets/KEY, x-keepmum: text}", []string{"3 KEY | x-keepmum must be a mapping of rules | write one rule per line below it: description, min_length, max_length, pattern, type, newline, optional, default, generate, rotate_every"}},
		{"KEY: {file: ./secrets/KEY, fil: x}", []string{"3 KEY | unknown key secrets.KEY.fil | did you mean file?"}},
		{"KEY: {file: ./secrets/KEY}\nkey: {file: ./secrets/key}", []string{"4 key | differs from KEY on line 3 only in case, so both are the same file on macOS and Windows | rename one of the two", "4 key | is granted to no service | write - key under secrets: of the service that needs it, or remove the declaration"}},
		{"KEY: {file: ./secrets/KEY}\nKEY_FILE: {file: ./secrets/KEY_FILE}", []string{"4 KEY_FILE | is also the variable that names a file for KEY | rename it so that it does not end in _FILE", "4 KEY_FILE | is granted to no service | write - KEY_FILE under secrets: of the service that needs it, or remove the declaration"}},
		{"KEY: {file: ./secrets/KEY}\nMORE_FILE: {file: ./secrets/MORE_FILE}", []string{"4 MORE_FILE | is granted to no service | write - MORE_FILE under secrets: of the service that needs it, or remove the declaration"}},
		{"KEY: {file: ./secrets/KEY}\nx-b: {a: b}", []string{"4 x-b | is under secrets: but is not a valid secret name | move it into the entry of the secret that it is about, or remove it", "4 x-b | unknown key secrets.x-b.a | remove it, or rename it to x-a if another program reads it"}},
		{"KEY: {file: ./secrets/KEY}\n9KEY: {file: ./secrets/9KEY}", []string{"4 9KEY | not a valid secret name: use letters, digits and _, and do not start with a digit | rename it, here and in the grants, for example to _9KEY"}},
		{"KEY: {file: ./secrets/KEY}\nmy-key: {file: ./secrets/my-key}", []string{"4 my-key | not a valid secret name: use letters, digits and _, and do not start with a digit | rename it, here and in the grants, for example to my_key"}},
		{"KEY: {file: ./secrets/KEY}\nä: {file: ./secrets/ä}", []string{"4 ä | not a valid secret name: use letters, digits and _, and do not start with a digit | rename it, here and in the grants, for example to _"}},
		{"KEY: {file: ./secrets/KEY}\n'': {file: ./secrets/x}", []string{"4  | not a valid secret name: use letters, digits and _, and do not start with a digit | rename it, here and in the grants, for example to _"}},
		{"KEY: &k {file: ./secrets/KEY}\nMORE: *k", []string{"3 MORE | its file is not ./secrets/MORE, the only place where keepmum looks | write file: ./secrets/MORE", "4 MORE | is granted to no service | write - MORE under secrets: of the service that needs it, or remove the declaration"}},
		{"KEY: {<<: {file: ./secrets/KEY}}", nil},
	} {
		checkFindings(t, declared(c.lines), c.want)
	}
}
