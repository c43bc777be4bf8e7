package convert

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/keepmum/keepmum/internal/docker"
)

// defaultNetwork is the network of a service that names none.
const defaultNetwork = "default"

// attachments returns the service's networks, by name. On each the service has
// its own name beside those that the file gives it.
func (s service) attachments() []swarm.NetworkAttachmentConfig {
	names := slices.Collect(maps.Keys(s.Networks))
	if len(names) == 0 {
		names = []string{defaultNetwork}
	}
	var all []swarm.NetworkAttachmentConfig
	for _, name := range names {
		one := swarm.NetworkAttachmentConfig{Target: s.networkName(name)}
		if n := s.Networks[name]; n != nil {
			one.Aliases, one.DriverOpts = slices.Clone(n.Aliases), n.DriverOpts
			if n.UseServiceNameAlias != nil && !*n.UseServiceNameAlias {
				s.refuse("use_service_name_alias: false is not possible: a Swarm always knows a service by its name", "remove it", "networks", name, "use_service_name_alias")
			}
		}
		if !predefined(one.Target) {
			one.Aliases = append(one.Aliases, s.name)
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b swarm.NetworkAttachmentConfig) int { return cmp.Compare(a.Target, b.Target) })
	return all
}

// predefined reports whether every engine has a network of that name, on which
// there are no aliases.
func predefined(name string) bool {
	return slices.Contains([]string{"default", "bridge", "host", "none"}, name)
}

// networkName returns a network's name in the Swarm.
func (c *converter) networkName(key string) string {
	return cmp.Or(c.named("networks", key, c.project.Networks[key].Name), c.scope(key))
}

// networks adds the networks that services use: those to make, and the external.
func (c *converter) networks() {
	used := map[string]bool{}
	for _, s := range c.project.Services {
		for name := range s.Networks {
			used[name] = true
		}
		if len(s.Networks) == 0 {
			used[defaultNetwork] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(used)) {
		n := c.project.Networks[key]
		if bool(n.External) {
			c.spec.ExternalNetworks = append(c.spec.ExternalNetworks, c.networkName(key))
			c.external("network "+c.networkName(key), "networks", key)
			continue
		}
		c.spec.Networks = append(c.spec.Networks, c.network(key, n))
	}
	slices.SortFunc(c.spec.Networks, func(a, b docker.NetworkSpec) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(c.spec.ExternalNetworks)
}

// network converts one network that the stack makes.
func (c *converter) network(key string, n types.NetworkConfig) docker.NetworkSpec {
	name := c.networkName(key)
	if predefined(name) {
		c.refuse(key, "is the network "+name+", which every engine has already", "write external: true beside its name", "networks", key)
	}
	if slices.Contains([]string{"bridge", "host", "none", "null", "macvlan", "ipvlan"}, n.Driver) {
		c.refuse(key, "has the driver "+n.Driver+", whose networks are of one node only", "write driver: overlay, or make the network by hand and write external: true", "networks", key, "driver")
	}
	if n.EnableIPv4 != nil && !*n.EnableIPv4 {
		c.refuse(key, "enable_ipv4: false is not possible in a Swarm", "remove it", "networks", key, "enable_ipv4")
	}
	request := network.CreateRequest{Name: name, CreateOptions: network.CreateOptions{
		Driver: cmp.Or(n.Driver, "overlay"), EnableIPv6: n.EnableIPv6, Internal: n.Internal, Attachable: n.Attachable,
		Options: n.DriverOpts, Labels: c.stackLabels(n.Labels, key, "networks", key, "labels"), IPAM: ipam(n.Ipam),
	}}
	spec := docker.NetworkSpec{
		Name: name, Driver: request.Driver, Attachable: n.Attachable, Internal: n.Internal, Labels: request.Labels, Options: n.DriverOpts,
	}
	for _, pool := range n.Ipam.Config {
		spec.Subnets = append(spec.Subnets, pool.Subnet)
	}
	var err error
	if spec.JSON, err = json.Marshal(request); err != nil {
		c.refuse(key, "it cannot be written as JSON", "report this as a bug of keepmum", "networks", key)
	}
	return spec
}

// ipam converts the addresses of a network, nil if the Swarm chooses them.
func ipam(from types.IPAMConfig) *network.IPAM {
	if from.Driver == "" && len(from.Config) == 0 && len(from.Options) == 0 {
		return nil
	}
	to := &network.IPAM{Driver: from.Driver, Options: from.Options}
	for _, pool := range from.Config {
		to.Config = append(to.Config, network.IPAMConfig{Subnet: pool.Subnet, Gateway: pool.Gateway, IPRange: pool.IPRange})
	}
	return to
}
