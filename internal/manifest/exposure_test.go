package manifest

import (
	"strings"
	"testing"
)

// Problem and next edit, as several cases expect them.
const (
	passedOn      = "its value is passed into the environment of web: Compose takes it from .env, and docker inspect shows it | remove the line and read /run/secrets/KEY"
	setInFile     = "the environment of web sets it in the compose file itself | remove the line, store the value with mage secrets:set KEY, and replace it where it is used: the compose file is shared"
	bringsAll     = "env_file: puts every value of that file into the container, where docker inspect shows it | remove it and grant the secrets that the service needs"
	mountsAll     = "mounts a project folder that contains secrets/ or .env, so it can read every value, not only its grants | mount only the subfolder that it needs"
	buildArgument = "its value is a build argument of web, which stays readable in the image | remove the line: a service reads its secrets when it runs"
)

// inService is a compose file with these lines, from line 4 on, in service web.
func inService(lines string) string {
	return "services:\n  web:\n    image: x\n    " + strings.ReplaceAll(lines, "\n", "\n    ") +
		"\n  db: {image: x, secrets: [KEY]}\nsecrets: {KEY: {file: ./secrets/KEY}}\nnetworks: {back: }\nvolumes: {data: }\n"
}

// A declared secret in environment:, and paths of secrets that are not granted.
func TestParse_SecretsInTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"environment: [KEY]", []string{"4 KEY | " + passedOn}},
		{"environment: {KEY: }", []string{"4 KEY | " + passedOn}},
		{"environment: [KEY=]", nil},
		{"environment: [KEY=x]", []string{"4 KEY | " + setInFile}},
		{"environment: {KEY: 5}", []string{"4 KEY | " + setInFile}},
		{"environment: [KEYS, OTHER=KEY]", nil},
		{"environment: {KEY_FILE: /run/secrets/KEY}", []string{"4 web | KEY_FILE names /run/secrets/KEY, which the service is not granted | write - KEY under its secrets:"}},
		{"environment: {KEY_FILE: /run/secrets/OTHER}", nil},
		{"environment: {KEY_FILE: /run/secrets/}", nil},
		{"secrets: [KEY]\nenvironment: {KEY_FILE: /run/secrets/KEY}", nil},
		{"secrets: [{source: KEY, target: k}]\nenvironment: {KEY_FILE: /run/secrets/k}", nil},
		{"secrets: [{source: KEY, target: k}]\nenvironment: {KEY_FILE: /run/secrets/KEY}", []string{"5 web | KEY_FILE names /run/secrets/KEY, which the service is not granted | write - KEY under its secrets:"}},
		{"environment: {KEY: '${KEY:-}'}", []string{"4 KEY | its value is put into the compose file at services.web.environment.KEY: Compose reads .env, and docker inspect shows the value | grant the secret to the service and read /run/secrets/KEY there; write $$ if a shell in the container should see a $"}},
	} {
		checkFindings(t, inService(c.lines), c.want)
	}
}

// A declared secret behind a $, wherever it is.
func TestParse_InterpolatedSecrets(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"environment: ['KEY=${OTHER}']", nil},
		{"environment: ['A=${KEY}']", []string{"4 KEY | its value is put into the compose file at services.web.environment.0: Compose reads .env, and docker inspect shows the value | grant the secret to the service and read /run/secrets/KEY there; write $$ if a shell in the container should see a $"}},
		{"environment: ['A=$$KEY']", nil},
		{"environment: ['A=${B:-$KEY}', 'C=${KEY+x}']", []string{"4 KEY | its value is put into the compose file at services.web.environment.0: Compose reads .env, and docker inspect shows the value | grant the secret to the service and read /run/secrets/KEY there; write $$ if a shell in the container should see a $", "4 KEY | its value is put into the compose file at services.web.environment.1: Compose reads .env, and docker inspect shows the value | grant the secret to the service and read /run/secrets/KEY there; write $$ if a shell in the container should see a $"}},
		{"labels: {a: $KEY}", []string{"4 KEY | its value is put into the compose file at services.web.labels.a: Compose reads .env, and docker inspect shows the value | grant the secret to the service and read /run/secrets/KEY there; write $$ if a shell in the container should see a $"}},
		{"command: [a, '${KEY?no}']", []string{"4 KEY | its value is put into the compose file at services.web.command.1: Compose reads .env, and docker inspect shows the value | grant the secret to the service and read /run/secrets/KEY there; write $$ if a shell in the container should see a $"}},
		{"labels: ['${KEY}=x']", []string{"4 KEY | its value is put into the compose file at services.web.labels.0: Compose reads .env, and docker inspect shows the value | grant the secret to the service and read /run/secrets/KEY there; write $$ if a shell in the container should see a $"}},
	} {
		checkFindings(t, inService(c.lines), c.want)
	}
}

// Files that hold values, as env_file: or label_file:.
func TestParse_EnvFiles(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"env_file: .env", []string{"4 web | " + bringsAll}},
		{"env_file: [a.env, ./.env]", []string{"4 web | " + bringsAll}},
		{"env_file: [{path: secrets/KEY, required: false}]", []string{"4 web | " + bringsAll}},
		{"env_file: .env.example", nil},
		{"env_file: [.keepmum/x]", []string{"4 web | " + bringsAll}},
		{"label_file: .env", []string{"4 web | label_file: puts every value of that file into the container, where docker inspect shows it | remove it and grant the secrets that the service needs"}},
		{"label_file: [l, ./.env.prod]", []string{"4 web | label_file: puts every value of that file into the container, where docker inspect shows it | remove it and grant the secrets that the service needs"}},
	} {
		checkFindings(t, inService(c.lines), c.want)
	}
}

// Bind mounts of the project, secrets/, .keepmum/ and .env.
func TestParse_Mounts(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"volumes: ['.:/x']", []string{"4 web | " + mountsAll}},
		{"volumes: ['./:/x']", []string{"4 web | " + mountsAll}},
		{"volumes: ['./secrets:/x:ro']", []string{"4 web | " + mountsAll}},
		{"volumes: ['./secrets/KEY:/x']", []string{"4 web | " + mountsAll}},
		{"volumes: ['..:/x']", []string{"4 web | " + mountsAll}},
		{"volumes: ['../..:/x']", []string{"4 web | " + mountsAll}},
		{"volumes: ['../other:/x']", nil},
		{"volumes: ['./src:/x']", nil},
		{"volumes: ['.env:/x']", []string{"4 web | " + mountsAll}},
		{"volumes: [{type: bind, source: ., target: /x}]", []string{"4 web | " + mountsAll}},
		{"volumes: [{type: bind, source: ./.keepmum, target: /x}]", []string{"4 web | " + mountsAll}},
		{"volumes: [{type: bind, source: ./src, target: /x}]", nil},
		{"volumes: [{type: volume, source: data, target: /x}]", nil},
		{"volumes: ['data:/x']", nil},
		{"volumes: ['/x']", nil},
		{"volumes: ['/srv/.env:/x']", nil},
		{"volumes: [{type: tmpfs, target: /x}]", nil},
	} {
		checkFindings(t, inService(c.lines), c.want)
	}
}

// Values in an image build, and in steps before and after a service.
func TestParse_BuildsAndHooks(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"build: {context: ., args: [KEY]}", []string{"4 KEY | " + buildArgument}},
		{"build: {context: ., args: {KEY: x}}", []string{"4 KEY | " + buildArgument}},
		{"build: {context: ., args: {KEY: ''}}", nil},
		{"build: {context: ., args: ['KEY=${OTHER:-}']}", nil},
		{"build: {context: ., secrets: [KEY]}", []string{"4 web | passes secrets to an image build | remove them: a service reads its secrets when it runs"}},
		{"build: {context: ., secrets: []}", nil},
		{"build: .", nil},
		{"post_start: [{command: x, environment: [KEY]}]", []string{"4 KEY | its value is passed into the environment of post_start of web | remove the line and read /run/secrets/KEY"}},
		{"pre_stop: [{command: x, environment: {KEY: }}]", []string{"4 KEY | its value is passed into the environment of pre_stop of web | remove the line and read /run/secrets/KEY"}},
		{"pre_stop: [{command: x, environment: {KEY: x}}]", nil},
		{"pre_start: [{image: x, secrets: [KEY]}]", []string{"4 web | grants secrets to pre_start, which keepmum does not manage | grant them to the service, or make the step a separate service"}},
		{"pre_start: [{image: x, environment: [KEY]}]", []string{"4 KEY | its value is passed into the environment of pre_start of web | remove the line and read /run/secrets/KEY"}},
		{"post_start: [{command: x, secrets: [KEY]}]", []string{"4 web | grants secrets to post_start, which keepmum does not manage | grant them to the service, or make the step a separate service", "4 web | unknown key services.web.post_start.[].secrets | remove it, or rename it to x-secrets if another program reads it"}},
	} {
		checkFindings(t, inService(c.lines), c.want)
	}
}
