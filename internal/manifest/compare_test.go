package manifest

import (
	"strings"
	"testing"
)

const current = `name: shop
x-common: &common
  read_only: true
  cap_drop: [ALL]
services:
  web:
    <<: *common
    image: web:1
    secrets: [API_KEY]
    environment: {MODE: fast}
    ports: ["127.0.0.1:80:80"]
    healthcheck: {test: [CMD, /web, health]}
    depends_on: [db]
  db:
    image: db:1
    secrets: [{source: DB_PASSWORD, target: password}]
    environment: {DB_PASSWORD_FILE: /run/secrets/password}
    volumes: ["data:/data"]
secrets:
  API_KEY: {file: ./secrets/API_KEY}
  DB_PASSWORD: {file: ./secrets/DB_PASSWORD}
volumes: {data: }
`

const oldWay = `name: shop
x-common: &common
  cap_drop: [ALL]
  read_only: true
services:
  web:
    <<: *common
    image: web:1
    environment: ["MODE=fast", "API_KEY=${API_KEY:-}"]
    ports: ["127.0.0.1:80:80"]
    healthcheck: {test: [CMD, /web, health]}
    depends_on: {db: {condition: service_started}}
  db:
    image: db:1
    environment: {DB_PASSWORD: "${DB_PASSWORD:-}"}
    volumes: ["data:/data"]
volumes: {data: }
`

func both(t *testing.T, a, b string) (*Manifest, *Manifest) {
	t.Helper()
	one, _ := Parse("a.yml", []byte(a))
	other, _ := Parse("b.yml", []byte(b))
	return one, other
}

func TestCompareLegacyTakesTheSameStack(t *testing.T) {
	if findings := CompareLegacy(both(t, current, oldWay)); len(findings) > 0 {
		t.Errorf("findings:\n%s", said(findings))
	}
}

func TestCompareLegacyFindsEachDifference(t *testing.T) {
	for _, c := range []struct{ replace, by, want string }{
		{"name: shop", "name: other", "name: the project's name"},
		{"image: web:1", "image: web:2", "web: image is not as in a.yml, line 6"},
		{"read_only: true", "read_only: false", "web: read_only is not as"},
		{"cap_drop: [ALL]", "cap_drop: [NET_RAW]", "web: cap_drop is not as"},
		{"127.0.0.1:80:80", "80:80", "web: ports is not as"},
		{"[CMD, /web, health]", "[CMD, /web]", "web: healthcheck is not as"},
		{"service_started", "service_completed_successfully", "web: depends_on is not as"},
		{"data:/data", "data:/other", "db: volumes is not as"},
		{"  db:\n    image", "  store:\n    image", "db: is a service of a.yml, but not of this file"},
		{"  db:\n    image", "  store:\n    image", "store: is a service of this file, but not of a.yml"},
		{"volumes: {data: }", "volumes: {data: , more: }", "volumes: volumes differ"},
		{"volumes: {data: }", "volumes: {data: }\nnetworks: {back: }", "networks: networks differ"},
		{"volumes: {data: }", "volumes: {data: }\nsecrets: {API_KEY: {file: ./secrets/API_KEY}}", "API_KEY: is declared in the compose file of the old way"},
		{"    image: db:1", "    image: db:1\n    secrets: [API_KEY]", "db: is granted a secret in the compose file of the old way"},
		{"MODE=fast", "MODE=slow", "web: its environment sets MODE otherwise"},
		{`"MODE=fast", `, ``, "web: its environment lacks MODE"},
		{`"MODE=fast"`, `"MODE=fast", "MORE=1"`, "web: its environment has MORE"},
		{`, "API_KEY=${API_KEY:-}"`, ``, "web: its environment lacks API_KEY, the old way of API_KEY"},
		{"API_KEY=${API_KEY:-}", "API_KEY=${API_KEY:-x}", "web: its environment does not take API_KEY from API_KEY alone"},
		{"API_KEY=${API_KEY:-}", "API_KEY=${API_KEY}", "web: its environment does not take API_KEY from API_KEY alone"},
		{"API_KEY=${API_KEY:-}", "API_KEY=x${API_KEY:-}", "web: its environment does not take API_KEY from API_KEY alone"},
		{"API_KEY=${API_KEY:-}", "API_KEY=${OTHER:-}", "web: its environment does not take API_KEY from API_KEY alone"},
		{"API_KEY=${API_KEY:-}", "API_KEY=${API_KEY:-}\", \"DB_PASSWORD=${DB_PASSWORD:-}", "web: its environment has DB_PASSWORD, which a.yml neither sets nor grants"},
		{"DB_PASSWORD: ", "DB_PASSWORD_FILE: ", "db: its environment lacks DB_PASSWORD, the old way of DB_PASSWORD"},
	} {
		t.Run(c.by, func(t *testing.T) {
			changed := strings.Replace(oldWay, c.replace, c.by, 1)
			if changed == oldWay {
				t.Fatal("nothing to replace")
			}
			if findings := CompareLegacy(both(t, current, changed)); !strings.Contains(said(findings), c.want) {
				t.Errorf("says\n%s\nand not %s", said(findings), c.want)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	if findings := Compare(both(t, current, current)); len(findings) > 0 {
		t.Errorf("a file differs from itself:\n%s", said(findings))
	}
	for _, c := range []struct{ replace, by, want string }{
		{"secrets: [API_KEY]", "secrets: []", "6: web: is not granted API_KEY at /run/secrets/API_KEY, which a.yml grants on line 9"},
		{"secrets: [API_KEY]", "secrets: [API_KEY, DB_PASSWORD]", "9: web: is granted DB_PASSWORD at /run/secrets/DB_PASSWORD, which a.yml does not grant"},
		{"target: password", "target: pass", "16: db: is granted DB_PASSWORD at /run/secrets/pass, which a.yml does not grant"},
		{"target: password", "target: pass", "14: db: is not granted DB_PASSWORD at /run/secrets/password"},
		{"  API_KEY: {file: ./secrets/API_KEY}\n", "", "0: API_KEY: is not declared here, but in a.yml"},
		{"  API_KEY: {", "  MORE: {file: ./secrets/MORE}\n  API_KEY: {", "20: MORE: is declared here, but not in a.yml"},
		{"  API_KEY: {file: ./secrets/API_KEY}\n", "  API_KEY: {external: true, name: shop_API_KEY.v1}\n", ""},
	} {
		findings := Compare(both(t, current, strings.Replace(current, c.replace, c.by, 1)))
		if !strings.Contains(said(findings), c.want) || (c.want == "") != (len(findings) == 0) {
			t.Errorf("%s: says\n%s\nand not %s", c.by, said(findings), c.want)
		}
		for _, f := range findings {
			if f.File != "b.yml" {
				t.Errorf("finding in %s", f.File)
			}
		}
	}
}
