package manifest

import "testing"

// Unknown keys by name; anything else that Compose refuses by its smallest part.
func TestParse_WhatComposeRefuses(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  []string
	}{
		{"imgae: y", []string{"4 web | unknown key services.web.imgae | did you mean image?"}},
		{"ports: [{target: 80, publised: 1}]", []string{"4 web | unknown key services.web.ports.[].publised | did you mean published?"}},
		{"read_only: 5", []string{"4 web | Compose does not accept services.web.read_only: must be a boolean or string | see read_only in the Compose file reference, or run docker compose config -q"}},
		{"healthcheck: {test: x, intervall: 1s}", []string{"4 web | unknown key services.web.healthcheck.intervall | did you mean interval?"}},
		{"deploy: {resources: {limits: {cpu: 1}}}", []string{"4 web | unknown key services.web.deploy.resources.limits.cpu | did you mean cpus?"}},
		{"x-any: {a: [b]}", nil},
		{"ports: x", []string{"4 web | Compose does not accept services.web.ports: must be a list | see ports in the Compose file reference, or run docker compose config -q"}},
		{"cap_drop: {a: b}", []string{"4 web | Compose does not accept services.web.cap_drop: must be a list | see cap_drop in the Compose file reference, or run docker compose config -q"}},
		{"ports: ['x:y']", []string{"4 web | Compose does not accept services.web.ports | see ports in the Compose file reference, or run docker compose config -q"}},
		{"healthcheck: {interval: soon}", []string{"4 web | Compose does not accept services.web.healthcheck | see healthcheck in the Compose file reference, or run docker compose config -q"}},
		{"restart: 5", []string{"4 web | Compose does not accept services.web.restart: must be a string | see restart in the Compose file reference, or run docker compose config -q"}},
		{"mem_limit: lots", []string{"4 web | Compose does not accept services.web.mem_limit | see mem_limit in the Compose file reference, or run docker compose config -q"}},
		{"labels: {1: a, 2: b}", []string{"4 web | Compose does not accept services.web.labels | see labels in the Compose file reference, or run docker compose config -q"}},
		{"environment: {1: a}", []string{"4 web | Compose does not accept services.web.environment | see environment in the Compose file reference, or run docker compose config -q"}},
		{"deploy: {replicas: many}", []string{"4 web | Compose does not accept services.web.deploy | see deploy in the Compose file reference, or run docker compose config -q"}},
		{"command: {a: b}", []string{"4 web | Compose does not accept services.web.command | see command in the Compose file reference, or run docker compose config -q"}},
	} {
		checkFindings(t, inService(c.lines), c.want)
	}
}
