package manifest

import "testing"

// Names that a service uses but the file does not declare.
func TestParse_References(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"volumes: [{type: volume, source: dta, target: /x}]", []string{"4 web | mounts the volume dta, which is not under volumes: | did you mean data?"}},
		{"volumes: ['dta:/x']", []string{"4 web | mounts the volume dta, which is not under volumes: | did you mean data?"}},
		{"volumes: ['cache:/x']", []string{"4 web | mounts the volume cache, which is not under volumes: | write cache: under the top-level volumes:"}},
		{"depends_on: [db]", nil},
		{"depends_on: [bd]", []string{"4 web | depends_on names bd, which is not under services: | did you mean db?"}},
		{"depends_on: [nothing]", []string{"4 web | depends_on names nothing, which is not under services: | declare it under the top-level services:, or remove the name"}},
		{"depends_on: {db: {condition: service_healthy}}", nil},
		{"depends_on: {dbb: {condition: service_started}}", []string{"4 web | depends_on names dbb, which is not under services: | did you mean db?"}},
		{"networks: [back]", nil},
		{"networks: [bakc]", []string{"4 web | networks names bakc, which is not under networks: | did you mean back?"}},
		{"networks: {front: {aliases: [a]}}", []string{"4 web | networks names front, which is not under networks: | declare it under the top-level networks:, or remove the name"}},
		{"networks: [default]", nil},
		{"networks: [front]", []string{"4 web | networks names front, which is not under networks: | declare it under the top-level networks:, or remove the name"}},
		{"extends: {service: db}", nil},
		{"extends: db", nil},
		{"extends: {file: other.yml, service: x}", []string{"4 web | extends a service of another file, which keepmum does not read | write the service out in full"}},
		{"extends: {service: nowhere}", []string{"4 web | Compose does not accept services.web.extends | see extends in the Compose file reference, or run docker compose config -q"}},
	} {
		checkFindings(t, inService(c.lines), c.want)
	}
}

// Everything that is not in a service or secret.
func TestParse_TopLevel(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"services: {web: {image: x}}\nname: shop-1_a", nil},
		{"services: {web: {image: x}}\nname: Shop", []string{"2 name | not a valid project name: use lower-case letters, digits, - and _, and start with a letter or digit | write name: shop"}},
		{"services: {web: {image: x}}\nname: -shop", []string{"2 name | not a valid project name: use lower-case letters, digits, - and _, and start with a letter or digit | write name: shop"}},
		{"services: {web: {image: x}}\nname: ÄÖ", []string{"2 name | not a valid project name: use lower-case letters, digits, - and _, and start with a letter or digit | write name: project"}},
		{"services: {web: {image: x}}\nname: '${NAME:-shop}'", nil},
		{"services: {web: {image: x}}\nname: [a]", []string{"2 name | Compose does not accept name: must be a string | see name in the Compose file reference, or run docker compose config -q"}},
		{"services: {web: {image: x}}\nname: 5", []string{"2 name | Compose does not accept name: must be a string | see name in the Compose file reference, or run docker compose config -q"}},
		{"services: {web: {image: x}}\ninclude: [a.yml]", []string{"2 include | is not supported: keepmum reads one compose file | move the secrets and services of the other file here"}},
		{"services: {web: {image: x}}\ninclude:", []string{"2 include | Compose does not accept include: must be a list | see include in the Compose file reference, or run docker compose config -q"}},
		{"services: {web: {image: x}}\njobs: {a: {image: x}}", []string{"2 jobs | keepmum reads services, not jobs | make each job a service that exits"}},
		{"services:", []string{"1 services | the compose file has no services | write services: and below it a name with image:"}},
		{"services: {}", []string{"1 services | the compose file has no services | write services: and below it a name with image:"}},
		{"secrets: {}", []string{"0 services | the compose file has no services | write services: and below it a name with image:"}},
		{"services: [a]", []string{"1 services | must be a mapping of names | write services: and below it a name with image:", "1 services | the compose file has no services | write services: and below it a name with image:"}},
		{"services: text", []string{"1 services | must be a mapping of names | write services: and below it a name with image:", "1 services | the compose file has no services | write services: and below it a name with image:"}},
		{"services: {web: }", []string{"1 web | Compose does not accept services.web: must be a mapping | see web in the Compose file reference, or run docker compose config -q"}},
		{"services: {web: text}", []string{"1 web | Compose does not accept services.web: must be a mapping | see web in the Compose file reference, or run docker compose config -q"}},
		{"services: {x-common: {a: b}, web: {image: x}}", []string{"1 x-common | unknown key services.x-common.a | remove it, or rename it to x-a if another program reads it"}},
		{"services: {web: {}}", []string{"0  | Compose does not accept this file, though each part of it alone is fine | run docker compose config -q to see why"}},
		{"services: {1: {image: x}}", []string{"1 services | Compose does not accept services | see services in the Compose file reference, or run docker compose config -q"}},
		{"services: {web: {image: x}}\nnetworks: {a: {drivr: b}}", []string{"2 a | unknown key networks.a.drivr | did you mean driver?"}},
		{"services: {web: {image: x}}\nvolumes: {a: {external: maybe}}", []string{"2 a | Compose does not accept volumes.a.external | see external in the Compose file reference, or run docker compose config -q"}},
		{"services: {web: {image: x}}\nvolumes: text", []string{"2 volumes | Compose does not accept volumes: must be a mapping | see volumes in the Compose file reference, or run docker compose config -q"}},
		{"services: {web: {image: x}}\nconfigs: {c: {file: ./.env}}", []string{"2 c | this config contains secret values | grant the secret instead: configs can be read back from the engine"}},
		{"services: {web: {image: x}}\nconfigs: {c: {file: ./c.txt}}", nil},
		{"services: {web: {image: x, secrets: [KEY]}}\nsecrets: {KEY: {file: ./secrets/KEY}}\nconfigs: {c: {environment: KEY}}", []string{"3 KEY | its value is put into the config c | grant the secret instead: configs can be read back from the engine"}},
		{"services: {web: {image: x, secrets: [KEY]}}\nsecrets: {KEY: {file: ./secrets/KEY}}\nconfigs: {c: {environment: OTHER}}", nil},
		{"services: {web: {image: x, secrets: [KEY]}}\nsecrets: {KEY: {file: ./secrets/KEY}}\nconfigs: {c: {content: \"a $KEY\"}}", []string{"3 KEY | its value is put into the compose file at configs.c.content: Compose reads .env, and docker inspect shows the value | grant the secret to the service and read /run/secrets/KEY there; write $$ if a shell in the container should see a $"}},
		{"services: {web: {image: x}}\nservces: {}", []string{"2 servces | unknown key servces | did you mean services?"}},
		{"services: {web: {image: x}}\nx-a: {b: [c]}", nil},
		{"services: {web: {image: x}}\nversion: '3'", nil},
		{"services: {web: {image: x}}\nversion: 3", []string{"2 version | Compose does not accept version: must be a string | see version in the Compose file reference, or run docker compose config -q"}},
		{"services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}", []string{"0  | Compose does not accept this file, though each part of it alone is fine | run docker compose config -q to see why"}},
		{"services: {web: {image: x, network_mode: 'service:none'}}", []string{"0  | Compose does not accept this file, though each part of it alone is fine | run docker compose config -q to see why"}},
		{"services: {web: {image: x, image: y}}", []string{"1 image | this key appears twice; first on line 1 | keep one of the two"}},
		{"services:\n  web: {image: x}\n  web: {image: y}", []string{"3 web | this key appears twice; first on line 2 | keep one of the two"}},
		{"services: {web: {image: x, ports: !reset []}}", []string{"1 !reset | this tag is for merged compose files; keepmum reads one file | remove the tag"}},
		{"services: {web: {image: x, ports: !override []}}", []string{"1 !override | this tag is for merged compose files; keepmum reads one file | remove the tag"}},
		{"services: {web: {image: !!binary eA==}}", nil},
		{"services: {web: {image: !custom x}}", nil},
		{"services: {web: &a {image: x}, b: *a}", nil},
		{"services: {web: {<<: *none, image: x}}", []string{"1  | not readable as YAML | correct the indentation, the quotes or the brackets there or just above"}},
		{"services: {web: {image: x, ? [a] : b}}", []string{"1  | a key is not plain text | write a name before the colon"}},
		{"x-a: &a {image: x}\nservices: {web: {<<: [*a, {user: '1'}]}}", nil},
		{"services: {web: {image: \"${X\"}}", []string{"1 web | Compose does not accept services.web.image | see image in the Compose file reference, or run docker compose config -q"}},
		{"services: {web: {image: \"${X?}\"}}", nil},
		{"services: {web: {image: \"a$\"}}", nil},
		{"services: {web: {image: \"${}\"}}", []string{"1 web | Compose does not accept services.web.image | see image in the Compose file reference, or run docker compose config -q"}},
		{"services: {web: {image: x, secrets: &s [KEY]}, b: {image: x, secrets: *s}}\nsecrets: {KEY: {file: ./secrets/KEY}}", nil},
		{"services: {web: {image: x, secrets: [KYE]}, b: {image: x, privileged: perhaps}}\nsecrets: {KEY: {file: ./secrets/KEY}}", []string{"1 web | is granted KYE, which is not declared | did you mean KEY?", "2 KEY | is granted to no service | write - KEY under secrets: of the service that needs it, or remove the declaration"}},
	} {
		checkFindings(t, c.lines, c.want)
	}
}

func TestReferences_ByAVariableAreComposesToJudge(t *testing.T) {
	file := "services:\n  web:\n    image: x\n    networks: [\"${KIND:-a}-net\"]\nnetworks: {a-net: {}, b-net: {}}\n"
	for kind, fine := range map[string]bool{"": true, "b": true, "c": false} {
		o := Options{Lookup: func(string) (string, bool) { return kind, kind != "" }}
		if _, findings := o.Parse("compose.yml", []byte(file)); (len(findings) == 0) != fine {
			t.Errorf("%q: %v", kind, findings)
		}
	}
}
