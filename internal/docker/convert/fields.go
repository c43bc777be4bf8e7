package convert

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// treatment is what becomes of a field of the compose file.
type treatment int

// The treatments.
const (
	used    treatment = iota // the conversion reads it, and says itself what is wrong with it
	refused                  // a Swarm cannot do it, and without it something else would run
	noted                    // it concerns another way of running
	read                     // the reader has applied it: nothing is left to convert
)

// field is the treatment of one field of the compose file, with what follows the
// field's name in a finding or notice, and the way out.
type field struct {
	treatment
	problem, next string
}

// rules returns the treatment of every field that compose-go knows, by its
// place: * stands for a name, [] for an entry of a list. What is below a field
// that is refused or noted needs no rule.
func rules() map[string]field {
	all := map[string]field{}
	for _, place := range strings.Fields(usedPlaces) {
		all[place] = field{treatment: used}
	}
	for _, place := range strings.Fields(readPlaces) {
		all[place] = field{treatment: read}
	}
	for place, f := range refusedPlaces() {
		all[place] = field{refused, f[0], f[1]}
	}
	for place, f := range notedPlaces() {
		all[place] = field{noted, f[0], f[1]}
	}
	return all
}

const usedPlaces = `
services services.*
services.*.restart services.*.scale services.*.image services.*.command services.*.entrypoint
services.*.cap_add services.*.cap_drop services.*.cpus services.*.mem_limit services.*.mem_reservation services.*.pids_limit
services.*.configs services.*.configs.[] services.*.configs.[].source services.*.configs.[].target
services.*.configs.[].uid services.*.configs.[].gid services.*.configs.[].mode
services.*.secrets services.*.secrets.[] services.*.secrets.[].source services.*.secrets.[].target
services.*.secrets.[].uid services.*.secrets.[].gid services.*.secrets.[].mode
services.*.dns services.*.dns_opt services.*.dns_search services.*.extra_hosts services.*.hostname
services.*.environment services.*.env_file services.*.env_file.[] services.*.env_file.[].path
services.*.env_file.[].required services.*.env_file.[].format
services.*.group_add services.*.user services.*.working_dir services.*.init services.*.isolation services.*.platform
services.*.labels services.*.logging services.*.logging.driver services.*.logging.options
services.*.networks services.*.networks.* services.*.networks.*.aliases services.*.networks.*.driver_opts
services.*.networks.*.use_service_name_alias
services.*.oom_score_adj services.*.read_only services.*.security_opt services.*.stop_grace_period services.*.stop_signal
services.*.stdin_open services.*.tty services.*.sysctls services.*.tmpfs
services.*.ulimits services.*.ulimits.* services.*.ulimits.*.single services.*.ulimits.*.soft services.*.ulimits.*.hard
services.*.volumes services.*.volumes.[] services.*.volumes.[].type services.*.volumes.[].source
services.*.volumes.[].target services.*.volumes.[].read_only
services.*.volumes.[].bind services.*.volumes.[].bind.propagation services.*.volumes.[].bind.create_host_path
services.*.volumes.[].volume services.*.volumes.[].volume.labels services.*.volumes.[].volume.nocopy
services.*.volumes.[].volume.subpath
services.*.volumes.[].tmpfs services.*.volumes.[].tmpfs.size services.*.volumes.[].tmpfs.mode
services.*.depends_on services.*.depends_on.* services.*.depends_on.*.condition services.*.depends_on.*.required
services.*.healthcheck services.*.healthcheck.test services.*.healthcheck.timeout services.*.healthcheck.interval
services.*.healthcheck.retries services.*.healthcheck.start_period services.*.healthcheck.start_interval
services.*.healthcheck.disable
services.*.ports services.*.ports.[] services.*.ports.[].name services.*.ports.[].mode services.*.ports.[].host_ip
services.*.ports.[].target services.*.ports.[].published services.*.ports.[].protocol
services.*.deploy services.*.deploy.mode services.*.deploy.replicas services.*.deploy.labels services.*.deploy.endpoint_mode
services.*.deploy.update_config services.*.deploy.update_config.parallelism services.*.deploy.update_config.delay
services.*.deploy.update_config.failure_action services.*.deploy.update_config.monitor
services.*.deploy.update_config.max_failure_ratio services.*.deploy.update_config.order
services.*.deploy.rollback_config services.*.deploy.rollback_config.parallelism services.*.deploy.rollback_config.delay
services.*.deploy.rollback_config.failure_action services.*.deploy.rollback_config.monitor
services.*.deploy.rollback_config.max_failure_ratio services.*.deploy.rollback_config.order
services.*.deploy.restart_policy services.*.deploy.restart_policy.condition services.*.deploy.restart_policy.delay
services.*.deploy.restart_policy.max_attempts services.*.deploy.restart_policy.window
services.*.deploy.resources
services.*.deploy.resources.limits services.*.deploy.resources.limits.cpus services.*.deploy.resources.limits.memory
services.*.deploy.resources.limits.pids
services.*.deploy.resources.reservations services.*.deploy.resources.reservations.cpus
services.*.deploy.resources.reservations.memory services.*.deploy.resources.reservations.generic_resources
services.*.deploy.resources.reservations.generic_resources.[]
services.*.deploy.resources.reservations.generic_resources.[].discrete_resource_spec
services.*.deploy.resources.reservations.generic_resources.[].discrete_resource_spec.kind
services.*.deploy.resources.reservations.generic_resources.[].discrete_resource_spec.value
services.*.deploy.placement services.*.deploy.placement.constraints services.*.deploy.placement.preferences
services.*.deploy.placement.preferences.[] services.*.deploy.placement.preferences.[].spread
services.*.deploy.placement.max_replicas_per_node
networks networks.* networks.*.name networks.*.driver networks.*.driver_opts networks.*.external networks.*.internal
networks.*.attachable networks.*.labels networks.*.enable_ipv4 networks.*.enable_ipv6
networks.*.ipam networks.*.ipam.driver networks.*.ipam.options networks.*.ipam.config networks.*.ipam.config.[]
networks.*.ipam.config.[].subnet networks.*.ipam.config.[].gateway networks.*.ipam.config.[].ip_range
volumes volumes.* volumes.*.name volumes.*.driver volumes.*.driver_opts volumes.*.external volumes.*.labels
configs configs.* configs.*.name configs.*.file configs.*.environment configs.*.content configs.*.external configs.*.labels
secrets secrets.* secrets.*.name secrets.*.external
`

// readPlaces are applied by the reader: names are keys, extends is merged in, a
// secret's content is only ever that of a variable that the reader withholds, and
// jobs: is a finding of the reader.
const readPlaces = `name services.*.name services.*.extends secrets.*.content jobs`

// refusedPlaces returns what a Swarm cannot do: what is wrong, and the way out.
func refusedPlaces() map[string][2]string {
	const (
		noSwarm  = "is not possible in a Swarm"
		engines  = "remove it, or set it up in the engines of the nodes"
		reserve  = "remove it, and use deploy.resources"
		generic  = "remove it; let the nodes declare generic resources, and reserve them by deploy.resources.reservations.generic_resources"
		network  = "remove it: services of one network reach each other by their names"
		logging  = "write logging: with driver: and options:"
		ownImage = "do it in the image's entrypoint, or as a separate service that others depend on"
		addHost  = "write the whole name as hostname:, or an alias under networks:"
	)
	refused := map[string][2]string{
		"services.*.provider":            {noSwarm, "run it outside the stack, and remove the service"},
		"services.*.external_links":      {noSwarm, "put both services on one external network"},
		"services.*.links":               {noSwarm, network + "; another name is an alias under networks:, and an order is depends_on:"},
		"services.*.net":                 {noSwarm, "write networks:"},
		"services.*.network_mode":        {noSwarm, "write networks:; for the network of the host, one that is external: true with name: host"},
		"services.*.pre_start":           {noSwarm, ownImage},
		"services.*.post_start":          {noSwarm, ownImage},
		"services.*.pre_stop":            {noSwarm, ownImage},
		"services.*.annotations":         {noSwarm, "write labels:"},
		"services.*.blkio_config":        {noSwarm, engines},
		"services.*.cgroup_parent":       {noSwarm, engines},
		"services.*.cgroup":              {noSwarm, engines},
		"services.*.cpu_count":           {noSwarm, reserve},
		"services.*.cpu_percent":         {noSwarm, reserve},
		"services.*.cpu_period":          {noSwarm, reserve},
		"services.*.cpu_quota":           {noSwarm, reserve},
		"services.*.cpu_rt_period":       {noSwarm, reserve},
		"services.*.cpu_rt_runtime":      {noSwarm, reserve},
		"services.*.cpu_shares":          {noSwarm, reserve},
		"services.*.cpuset":              {noSwarm, reserve},
		"services.*.credential_spec":     {"is of Windows containers, which keepmum does not convert", "remove it"},
		"services.*.device_cgroup_rules": {noSwarm, generic},
		"services.*.devices":             {noSwarm, "bind-mount the device and set up its rights on the node, or run the service outside the Swarm"},
		"services.*.domainname":          {noSwarm, addHost},
		"services.*.gpus":                {noSwarm, generic},
		"services.*.ipc":                 {noSwarm, engines},
		"services.*.label_file":          {"is not read for a Swarm", "write the labels under labels:"},
		"services.*.log_driver":          {noSwarm, logging},
		"services.*.log_opt":             {noSwarm, logging},
		"services.*.mac_address":         {noSwarm, engines},
		"services.*.mem_swappiness":      {noSwarm, reserve},
		"services.*.memswap_limit":       {noSwarm, reserve},
		"services.*.models":              {noSwarm, "run the model as a service"},
		"services.*.oom_kill_disable":    {noSwarm, reserve},
		"services.*.pid":                 {noSwarm, "run the service outside the Swarm, or bind-mount /proc read-only if it only reads there"},
		"services.*.privileged":          {noSwarm, "remove it, and add the capabilities that it needs by cap_add:"},
		"services.*.runtime":             {noSwarm, engines},
		"services.*.shm_size":            {noSwarm, "mount a tmpfs at /dev/shm: under volumes: with type: tmpfs and tmpfs: {size: …}"},
		"services.*.storage_opt":         {noSwarm, engines},
		"services.*.umask":               {noSwarm, ownImage},
		"services.*.use_api_socket":      {noSwarm, "bind-mount the engine's socket, if the service may control the Swarm"},
		"services.*.userns_mode":         {noSwarm, engines},
		"services.*.uts":                 {noSwarm, engines},
		"services.*.volume_driver":       {noSwarm, "write driver: of the volume under the top-level volumes:"},
		"services.*.volumes_from":        {noSwarm, "name the volumes in both services"},

		"services.*.volumes.[].bind.selinux":   {noSwarm, "remove z or Z, and label the folder on the nodes by chcon"},
		"services.*.volumes.[].bind.recursive": {noSwarm, "remove it"},
		"services.*.volumes.[].image":          {noSwarm, "copy the files into the service's own image, or into a volume"},

		"services.*.deploy.resources.limits.devices":           {noSwarm, generic},
		"services.*.deploy.resources.limits.generic_resources": {noSwarm, "write it under reservations:"},
		"services.*.deploy.resources.reservations.devices":     {noSwarm, generic},
		"services.*.deploy.resources.reservations.pids":        {noSwarm, "write it under limits:"},
		"networks.*.ipam.config.[].aux_addresses":              {noSwarm, "remove it, and leave the addresses out of ip_range:"},
		"configs.*.driver":          {noSwarm, "write file: or content:"},
		"configs.*.driver_opts":     {noSwarm, "write file: or content:"},
		"configs.*.template_driver": {"is not set by keepmum, so the service would see the template itself", "write the text that the template gives"},
		"secrets.*.driver":          {"is not managed by keepmum", "create the secret by hand, and write external: true and name:"},
		"secrets.*.driver_opts":     {"is not managed by keepmum", "create the secret by hand, and write external: true and name:"},
		"secrets.*.template_driver": {"is not set by keepmum, so the service would see the template itself", "store the value that the template gives"},
		"models":                    {noSwarm, "run the model as a service"},
	}
	for _, key := range []string{"gw_priority", "interface_name", "ipv4_address", "ipv6_address", "link_local_ips", "mac_address", "priority"} {
		refused["services.*.networks.*."+key] = [2]string{noSwarm, "remove it: a Swarm gives every task its addresses, and services reach each other by name"}
	}
	return refused
}

// notedPlaces returns what has no effect in a Swarm: why, and what to do.
func notedPlaces() map[string][2]string {
	const (
		development = "has no effect in a Swarm"
		remove      = "remove it"
	)
	return map[string][2]string{
		"services.*.profiles":               {development + ": the service is deployed in any case", "remove the service from this file if it should not run"},
		"services.*.develop":                {development, remove},
		"services.*.attach":                 {development, remove},
		"services.*.container_name":         {development + ", which names each task's container", "remove it; another name for the network is an alias under networks:"},
		"services.*.build":                  {development + ", which runs images that a registry has", "build and push the image before the deploy"},
		"services.*.dockerfile":             {development, remove},
		"services.*.pull_policy":            {development + ", which pulls an image that a node lacks", remove},
		"services.*.pull_refresh_after":     {development, remove},
		"services.*.expose":                 {development + ": services of one network reach each other at every port", remove},
		"services.*.depends_on.*.restart":   {development, remove},
		"services.*.ports.[].app_protocol":  {development, remove},
		"services.*.volumes.[].consistency": {development, remove},
		"secrets.*.file":                    {"is not read: versions come from mage secrets:toSwarm -from=DIR alone", "write external: true instead"},
		"secrets.*.environment":             {"is not read: versions come from mage secrets:toSwarm -from=DIR alone", "write external: true instead"},
		"secrets.*.labels":                  {"has no effect: a version has keepmum's labels", remove},
	}
}

// inspect gives a finding or notice for every field of the model that is set and
// that the table refuses or notes.
func (c *converter) inspect() {
	for name, v := range c.project.Volumes {
		if v.Extensions["x-cluster-spec"] != nil {
			c.refuse(name, "is a cluster volume, which keepmum does not make", "make it by docker volume create, and write external: true", "volumes", name, "x-cluster-spec")
		}
	}
	i := inspector{c, rules()}
	model := reflect.ValueOf(c.project).Elem()
	for n := range model.NumField() {
		if tag := tagOf(model.Type().Field(n)); tag != "" {
			i.visit(model.Field(n), tag, []string{tag})
		}
	}
}

type inspector struct {
	*converter
	rules map[string]field
}

// visit looks at one field and what is below it. place is its key in the table,
// path its place in the file.
func (i inspector) visit(v reflect.Value, place string, path []string) {
	if isUnset(v) {
		return
	}
	switch f := i.rules[place]; f.treatment {
	case refused:
		i.refuse(subject(path), name(path)+" "+f.problem, f.next, path...)
		return
	case noted:
		i.notice(subject(path), name(path)+" "+f.problem, f.next, path...)
		return
	case read:
		return
	}
	for _, child := range children(v) {
		step := child.step
		if v.Kind() == reflect.Slice {
			n, _ := strconv.Atoi(step)
			entry := i.entry(path, n, v.Len())
			i.visit(child.value, place+".[]", entry)
			continue
		}
		i.visit(child.value, place+"."+child.key, append(slices.Clone(path), step))
	}
}

// subject is the service, network or other entry that a place belongs to.
func subject(path []string) string { return path[min(1, len(path)-1)] }

// name is what a place is called beside its subject.
func name(path []string) string {
	if len(path) < 3 {
		return path[0] + ":"
	}
	return strings.Join(path[2:], ".")
}

// node is one thing below a field: its key in the table, its step in the file.
type node struct {
	key, step string
	value     reflect.Value
}

// children returns what is below a value: fields of structures, and entries of
// mappings and lists of structures. Text, numbers, and lists and mappings of
// these have nothing below.
func children(v reflect.Value) []node {
	v = indirect(v)
	var all []node
	switch {
	case v.Kind() == reflect.Struct:
		for n := range v.NumField() {
			f := v.Type().Field(n)
			switch tag := tagOf(f); {
			case f.Anonymous:
				all = append(all, children(v.Field(n))...)
			case tag != "":
				all = append(all, node{tag, tag, v.Field(n)})
			}
		}
	case v.Kind() == reflect.Map && structural(v.Type().Elem()):
		entries := map[string]reflect.Value{}
		for _, key := range v.MapKeys() {
			entries[key.String()] = v.MapIndex(key)
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			all = append(all, node{"*", key, entries[key]})
		}
	case v.Kind() == reflect.Slice && structural(v.Type().Elem()):
		for n := range v.Len() {
			all = append(all, node{"[]", strconv.Itoa(n), v.Index(n)})
		}
	}
	return all
}

// structural reports whether a type is a structure or a pointer to one.
func structural(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// indirect follows pointers.
func indirect(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return v
}

// isUnset reports whether the file says nothing by a value.
func isUnset(v reflect.Value) bool {
	return v.IsZero() || (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.Len() == 0
}

// tagOf returns a field's key in the compose file, "" if it is none: internal
// fields, and those that hold x- keys, which are for other programs.
func tagOf(f reflect.StructField) string {
	tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	switch {
	case !f.IsExported() || f.Anonymous || tag == "-" || f.Name == "Extensions":
		return ""
	case tag == "":
		return strings.ToLower(f.Name)
	}
	return tag
}
