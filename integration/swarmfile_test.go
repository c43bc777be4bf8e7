package integration

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// swarmFile is the stack of production, from this directory; developmentFile is
// the one that it must be like.
const (
	swarmFile       = "../docker-compose.swarm.yml"
	developmentFile = "../docker-compose.yml"
)

// composeProject reads a compose file with variables.
func composeProject(t *testing.T, file string, variables map[string]string) *types.Project {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	logrus.SetOutput(io.Discard) // compose-go calls version: obsolete; the docker command requires it
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: "/", ConfigFiles: []types.ConfigFile{{Filename: path.Base(file), Content: data}}, Environment: variables,
	}, func(o *loader.Options) {
		o.SetProjectName("keepmum", true)
		o.ResolvePaths = false
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(project.Services) != 8 {
		t.Fatalf("%s has %d services", file, len(project.Services))
	}
	return project
}

// staging are variables with which both files describe the same stack.
func staging() map[string]string {
	return map[string]string{
		"KEEPMUM_ODDS_API_URL": "http://provider-sim:8080", "KEEPMUM_BASKETBALL_API_URL": "http://provider-sim:8080",
		"KEEPMUM_ODDS_BACKFILL": "840h", "KEEPMUM_POLL_INTERVAL": "5s",
	}
}

func TestSwarmFile_DescribesTheDevelopmentStack(t *testing.T) {
	for _, difference := range differences(composeProject(t, developmentFile, staging()), composeProject(t, swarmFile, staging())) {
		t.Error(difference)
	}
}

// differences names what the Swarm's file says otherwise than the development
// file, except for what a Swarm needs or cannot do.
func differences(development, production *types.Project) []string {
	var all []string
	compare := func(what string, one, other any) {
		if a, b := fmt.Sprintf("%v", one), fmt.Sprintf("%v", other); a != b {
			all = append(all, fmt.Sprintf("%s: %s in development, %s in the Swarm", what, a, b))
		}
	}
	compare("services", development.ServiceNames(), production.ServiceNames())
	compare("secrets", slices.Sorted(maps.Keys(development.Secrets)), slices.Sorted(maps.Keys(production.Secrets)))
	compare("volumes", slices.Sorted(maps.Keys(development.Volumes)), slices.Sorted(maps.Keys(production.Volumes)))
	for _, name := range production.ServiceNames() {
		d, p := development.Services[name], production.Services[name]
		compare(name+": image", d.Image, p.Image)
		compare(name+": user", d.User, p.User)
		compare(name+": read_only", d.ReadOnly, p.ReadOnly)
		compare(name+": cap_drop", d.CapDrop, p.CapDrop)
		compare(name+": logging", d.Logging, p.Logging)
		compare(name+": secrets", granted(d), granted(p))
		compare(name+": networks", networksOf(d), networksOf(p))
		compare(name+": mounts", volumesOf(d), volumesOf(p))
		compare(name+": depends_on", slices.Sorted(maps.Keys(d.DependsOn)), slices.Sorted(maps.Keys(p.DependsOn)))
		compare(name+": health check", checkOf(d, "-started"), checkOf(p, ""))
		compare(name+": environment", environmentOf(d, nil), environmentOf(p, swarmSettings[name]))
		all = append(all, strangers(name, p)...)
	}
	return all
}

// swarmSettings are variables that only the Swarm's file has, by service.
var swarmSettings = map[string][]string{
	"strict-api": {"KEEPMUM_ENV", "SHUTDOWN_DELAY"}, "provider-sim": {"KEEPMUM_ENV", "SHUTDOWN_DELAY"},
	"prediction-service": {"KEEPMUM_ENV"}, "odds-ingestion": {"KEEPMUM_ENV"}, "schedule-poller": {"KEEPMUM_ENV"},
	"line-movement-analyzer": {"KEEPMUM_ENV"}, "db-setup": {"KEEPMUM_ENV"},
}

// strangers names what must not be in the Swarm's file: the docker command ignores
// it, or another stack's file has it.
func strangers(name string, s types.ServiceConfig) []string {
	var all []string
	for what, there := range map[string]bool{
		"security_opt": len(s.SecurityOpt) > 0, "restart": s.Restart != "", "pull_policy": s.PullPolicy != "", "build": s.Build != nil,
		"pids_limit": s.PidsLimit != 0, "tmpfs": len(s.Tmpfs) > 0, "container_name": s.ContainerName != "", "ports": len(s.Ports) > 0,
	} {
		if there {
			all = append(all, name+": has "+what+", which a Swarm, or this file, must not have")
		}
	}
	return all
}

// granted is each secret with the path of its file.
func granted(s types.ServiceConfig) []string {
	var all []string
	for _, one := range s.Secrets {
		all = append(all, one.Source+" at "+path.Base(one.Target))
	}
	slices.Sort(all)
	return all
}

// networksOf is the networks without the kind, which is part of their names in the
// Swarm's file.
func networksOf(s types.ServiceConfig) []string {
	var all []string
	for name := range s.Networks {
		_, after, found := strings.Cut(name, "-")
		if !found {
			after = name
		}
		all = append(all, after)
	}
	slices.Sort(all)
	return all
}

// volumesOf is what is mounted where. A Swarm has tmpfs as a kind of volume.
func volumesOf(s types.ServiceConfig) []string {
	var all []string
	for _, v := range s.Volumes {
		size := types.UnitBytes(0)
		if v.Tmpfs != nil {
			size = v.Tmpfs.Size
		}
		all = append(all, fmt.Sprint(v.Type, " ", v.Source, " at ", v.Target, " ", int64(size)))
	}
	for _, one := range s.Tmpfs {
		target, options, _ := strings.Cut(one, ":")
		size := regexp.MustCompile(`size=(\d+)m`).FindStringSubmatch(options)
		megabytes := 0
		if size != nil {
			fmt.Sscan(size[1], &megabytes)
		}
		all = append(all, fmt.Sprint("tmpfs  at ", target, " ", megabytes<<20))
	}
	slices.Sort(all)
	return all
}

// checkOf is the test of a health check, with one more argument if it is that of
// the service's own program.
func checkOf(s types.ServiceConfig, more string) []string {
	if s.HealthCheck == nil {
		return nil
	}
	test := slices.Clone(s.HealthCheck.Test)
	if more != "" && len(test) > 1 && test[1] == "/"+s.Name {
		test = append(test, more)
	}
	return test
}

// environmentOf is the environment without some variables, each of which must be
// there.
func environmentOf(s types.ServiceConfig, without []string) []string {
	var all []string
	for name, value := range s.Environment {
		if slices.Contains(without, name) {
			continue
		}
		if value == nil {
			value = new(string)
		}
		all = append(all, name+"="+*value)
	}
	for _, name := range without {
		if s.Environment[name] == nil {
			all = append(all, name+" is missing")
		}
	}
	slices.Sort(all)
	return all
}

// Each kind of difference is found.
func TestSwarmFile_EachDifferenceIsFound(t *testing.T) {
	extra := "x"
	changes := map[string]func(*types.Project, *types.ServiceConfig){
		"services:":    func(p *types.Project, _ *types.ServiceConfig) { p.Services["one-more"] = types.ServiceConfig{} },
		"secrets:":     func(p *types.Project, _ *types.ServiceConfig) { delete(p.Secrets, "DB_APP_LOGIN") },
		"volumes:":     func(p *types.Project, _ *types.ServiceConfig) { delete(p.Volumes, "database") },
		": image:":     func(_ *types.Project, s *types.ServiceConfig) { s.Image += "1" },
		": user:":      func(_ *types.Project, s *types.ServiceConfig) { s.User = "root" },
		": read_only:": func(_ *types.Project, s *types.ServiceConfig) { s.ReadOnly = false },
		": cap_drop:":  func(_ *types.Project, s *types.ServiceConfig) { s.CapDrop = nil },
		": logging:":   func(_ *types.Project, s *types.ServiceConfig) { s.Logging = nil },
		": secrets:":   func(_ *types.Project, s *types.ServiceConfig) { s.Secrets = s.Secrets[1:] },
		": networks:":  func(_ *types.Project, s *types.ServiceConfig) { s.Networks = nil },
		": mounts:": func(_ *types.Project, s *types.ServiceConfig) {
			s.Volumes = append(s.Volumes, types.ServiceVolumeConfig{})
		},
		": depends_on:": func(_ *types.Project, s *types.ServiceConfig) { s.DependsOn = types.DependsOnConfig{"x": {}} },
		": health check:": func(_ *types.Project, s *types.ServiceConfig) {
			s.HealthCheck = &types.HealthCheckConfig{Test: []string{"CMD", "x"}}
		},
		": environment:": func(_ *types.Project, s *types.ServiceConfig) { s.Environment["MORE"] = &extra },
		"has ports":      func(_ *types.Project, s *types.ServiceConfig) { s.Ports = []types.ServicePortConfig{{}} },
		"has restart":    func(_ *types.Project, s *types.ServiceConfig) { s.Restart = "always" },
	}
	development := composeProject(t, developmentFile, staging())
	for what, change := range changes {
		for _, name := range []string{"strict-api", "postgres"} {
			production := composeProject(t, swarmFile, staging())
			service := production.Services[name]
			change(production, &service)
			production.Services[name] = service
			if !slices.ContainsFunc(differences(development, production), func(d string) bool { return strings.Contains(d, what) }) {
				t.Errorf("%s: a difference in %q is not found", name, what)
			}
		}
	}
}

// The docker command refuses a top-level name and a lone dollar; the rules and
// where values come from are in the manifest.
func TestSwarmFile_HasNothingOfTheManifest(t *testing.T) {
	data, err := os.ReadFile(swarmFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for what, pattern := range map[string]string{
		"a top-level name": `(?m)^name:`, "rules": `x-keepmum`, "a lone dollar": `(^|[^$])\$([^${]|$)`, "a file secret": `(?m)^\s+file:`,
	} {
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("it has %s: %q", what, found)
		}
	}
	if !regexp.MustCompile(`(?m)^version: "3\.9"$`).MatchString(text) {
		t.Error(`it lacks version: "3.9", without which docker CLI 20.10 does not take it`)
	}
	for name, secret := range composeProject(t, swarmFile, nil).Secrets {
		if !secret.External || secret.Name != name {
			t.Errorf("secret %s is not external under its own name: %+v", name, secret)
		}
	}
}

func TestSwarmFile_EveryServiceCanBeUpdated(t *testing.T) {
	for _, variables := range []map[string]string{nil, {"KEEPMUM_PROVIDER_SIM": "1"}} {
		for _, problem := range policyProblems(composeProject(t, swarmFile, variables)) {
			t.Error(problem)
		}
	}
}

// oneShot is the service that ends.
const oneShot = "db-setup"

// policyProblems names what a service of a Swarm lacks.
func policyProblems(p *types.Project) []string {
	var all []string
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		require := func(what string, ok bool) {
			if !ok {
				all = append(all, name+": "+what)
			}
		}
		d := s.Deploy
		if d == nil {
			require("no deploy", false)
			continue
		}
		limits, reserved := d.Resources.Limits, d.Resources.Reservations
		require("limits of CPU, memory and processes", limits != nil && limits.NanoCPUs > 0 && limits.MemoryBytes > 0 && limits.Pids > 0)
		require("reservations below the limits", limits != nil && reserved != nil && reserved.MemoryBytes > 0 && reserved.MemoryBytes <= limits.MemoryBytes && reserved.NanoCPUs <= limits.NanoCPUs)
		require("addresses by name", d.EndpointMode == "dnsrr")
		require("a log with a limit", s.Logging != nil && s.Logging.Options["max-size"] != "" && s.Logging.Options["max-file"] != "")
		require("a user other than root", s.User != "" && s.User != "root" && !strings.HasPrefix(s.User, "0"))
		require("a restart policy without an end", d.RestartPolicy != nil && d.RestartPolicy.MaxAttempts == nil && d.RestartPolicy.Delay != nil)
		require("more time to stop than it takes", s.StopGracePeriod != nil && time.Duration(*s.StopGracePeriod) > 8*time.Second+shutdownDelay(s))
		require("a mode that docker CLI 20.10 takes", d.Mode == "" || d.Mode == "replicated")
		if name == oneShot {
			require("a restart only on failure", d.RestartPolicy != nil && d.RestartPolicy.Condition == "on-failure")
		} else {
			require("a health check", s.HealthCheck != nil && s.HealthCheck.StartPeriod != nil && s.HealthCheck.Interval != nil)
			require("a restart whenever it ends", d.RestartPolicy != nil && d.RestartPolicy.Condition == "any")
		}
		require("an update policy that rolls back", orderly(d.UpdateConfig) && d.UpdateConfig.FailureAction == "rollback")
		require("a rollback policy of the same order", orderly(d.RollbackConfig) && orderly(d.UpdateConfig) && d.RollbackConfig.Order == d.UpdateConfig.Order)
		first := d.UpdateConfig != nil && d.UpdateConfig.Order == "start-first"
		local := slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Type != "tmpfs" })
		require("stop-first, because two must not use one volume", !first || !local)
		require("stop-first, because two cannot have one port of the node", !first || !slices.ContainsFunc(s.Ports, func(p types.ServicePortConfig) bool { return p.Mode == "host" }))
		require("the node of its volume", !local || slices.Contains(d.Placement.Constraints, "node.labels.keepmum.database == true"))
	}
	return all
}

// orderly reports whether an update goes one by one, in a given order, watched.
func orderly(c *types.UpdateConfig) bool {
	return c != nil && c.Parallelism != nil && *c.Parallelism == 1 && c.Order != "" && c.Monitor > 0
}

// shutdownDelay is the setting of that name.
func shutdownDelay(s types.ServiceConfig) time.Duration {
	value := s.Environment["SHUTDOWN_DELAY"]
	if value == nil {
		return 0
	}
	d, _ := time.ParseDuration(*value) // an invalid one ends the service at its start
	return d
}

// Each thing that is required is missed when it is not there.
func TestSwarmFile_EachLackIsFound(t *testing.T) {
	changes := map[string]func(*types.ServiceConfig){
		"no deploy":                func(s *types.ServiceConfig) { s.Deploy = nil },
		"limits":                   func(s *types.ServiceConfig) { s.Deploy.Resources.Limits.Pids = 0 },
		"reservations":             func(s *types.ServiceConfig) { s.Deploy.Resources.Reservations = nil },
		"addresses by name":        func(s *types.ServiceConfig) { s.Deploy.EndpointMode = "vip" },
		"a log with a limit":       func(s *types.ServiceConfig) { s.Logging = nil },
		"a user other":             func(s *types.ServiceConfig) { s.User = "" },
		"a restart policy without": func(s *types.ServiceConfig) { s.Deploy.RestartPolicy.MaxAttempts = new(uint64) },
		"more time to stop":        func(s *types.ServiceConfig) { s.StopGracePeriod = nil },
		"a health check":           func(s *types.ServiceConfig) { s.HealthCheck = nil },
		"a restart whenever":       func(s *types.ServiceConfig) { s.Deploy.RestartPolicy.Condition = "none" },
		"an update policy":         func(s *types.ServiceConfig) { s.Deploy.UpdateConfig.FailureAction = "pause" },
		"a rollback policy":        func(s *types.ServiceConfig) { s.Deploy.RollbackConfig.Order = "" },
		"two must not use one volume": func(s *types.ServiceConfig) {
			s.Volumes, s.Deploy.UpdateConfig.Order = []types.ServiceVolumeConfig{{Type: "volume"}}, "start-first"
		},
		"two cannot have one port": func(s *types.ServiceConfig) {
			s.Ports, s.Deploy.UpdateConfig.Order = []types.ServicePortConfig{{Mode: "host"}}, "start-first"
		},
		"a mode that": func(s *types.ServiceConfig) { s.Deploy.Mode = "global" },
		"the node of its volume": func(s *types.ServiceConfig) {
			s.Volumes, s.Deploy.Placement.Constraints = []types.ServiceVolumeConfig{{Type: "volume"}}, nil
		},
	}
	for what, change := range changes {
		for _, name := range []string{"strict-api", "postgres", "odds-ingestion"} {
			project := composeProject(t, swarmFile, nil)
			service := project.Services[name]
			change(&service)
			project.Services[name] = service
			if !slices.ContainsFunc(policyProblems(project), func(p string) bool { return strings.HasPrefix(p, name) && strings.Contains(p, what) }) {
				t.Errorf("%s without %q is not found", name, what)
			}
		}
	}
}

// Which services stay available during an update, and which do not work twice.
func TestSwarmFile_OrderOfEachService(t *testing.T) {
	want := map[string]string{
		"postgres": "1 stop-first", "db-setup": "1 stop-first", "provider-sim": "0 start-first", "strict-api": "2 start-first", "prediction-service": "2 start-first",
		"odds-ingestion": "1 stop-first", "schedule-poller": "1 stop-first", "line-movement-analyzer": "1 stop-first",
	}
	got := map[string]string{}
	for name, s := range composeProject(t, swarmFile, nil).Services {
		got[name] = fmt.Sprint(*s.Deploy.Replicas, " ", s.Deploy.UpdateConfig.Order)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// Production calls the providers, waits as long as their quotas need, and has no
// simulator.
func TestSwarmFile_DefaultsAreProduction(t *testing.T) {
	services := composeProject(t, swarmFile, nil).Services
	for variable, want := range map[string]string{"ODDS_API_URL": "https://", "ODDS_BACKFILL": "0s", "BASKETBALL_API_URL": "https://"} {
		for _, name := range []string{"odds-ingestion", "schedule-poller"} {
			if value, ok := services[name].Environment[variable]; ok && !strings.HasPrefix(*value, want) {
				t.Errorf("%s of %s is %s, want %s", variable, name, *value, want)
			}
		}
	}
	for name, s := range services {
		if value, ok := s.Environment["POLL_INTERVAL"]; ok && *value != "" {
			t.Errorf("POLL_INTERVAL of %s is %q", name, *value)
		}
	}
}

// Networks are encrypted unless KEEPMUM_OVERLAY says plain, and closed where
// nothing outside is called.
func TestSwarmFile_Networks(t *testing.T) {
	closed := map[string]bool{"database": true, "edge": true, "providers": false}
	for kind, variables := range map[string]map[string]string{"encrypted": nil, "plain": {"KEEPMUM_OVERLAY": "plain"}} {
		project, used := composeProject(t, swarmFile, variables), map[string]bool{}
		for _, s := range project.Services {
			for name := range s.Networks {
				used[name] = true
			}
		}
		for short, internal := range closed {
			n, ok := project.Networks[kind+"-"+short]
			if !ok || !used[kind+"-"+short] || n.Driver != "overlay" || n.Internal != internal {
				t.Errorf("%s-%s: used %v, %+v", kind, short, used[kind+"-"+short], n)
			}
			// The engine looks only at whether the option is there.
			if _, encrypted := n.DriverOpts["encrypted"]; encrypted != (kind == "encrypted") {
				t.Errorf("%s-%s has the options %v", kind, short, n.DriverOpts)
			}
		}
		if len(used) != len(closed) {
			t.Errorf("with %v the services use %v", variables, used)
		}
	}
}
