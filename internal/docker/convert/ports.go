package convert

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/swarm"
)

// endpoint returns how the service is reached: by its published ports, and by
// one address or by those of its tasks.
func (s service) endpoint() *swarm.EndpointSpec {
	mode := strings.ToLower(s.Deploy.EndpointMode)
	s.oneOf(mode, []string{"vip", "dnsrr"}, "deploy", "endpoint_mode")
	spec := &swarm.EndpointSpec{Mode: swarm.ResolutionMode(mode)}
	for i, p := range s.Ports {
		place := s.entry(s.at("ports"), i, len(s.Ports))[2:]
		s.oneOf(p.Protocol, []string{"tcp", "udp", "sctp"}, place...)
		s.oneOf(p.Mode, []string{"ingress", "host"}, place...)
		published := s.published(p.Published, place)
		switch {
		case p.HostIP != "":
			s.refuse("publishes a port on one address, but a Swarm publishes on all addresses of its nodes", "remove the address; to keep the port private, publish none and let an edge service reach it by its name", place...)
		case p.Target == 0 || p.Target > 65535:
			s.refuse("a port has no target from 1 to 65535", "write target: with the port in the container", place...)
		case mode == "dnsrr" && p.Mode != "host":
			s.refuse("publishes a port by the ingress network, which endpoint_mode dnsrr excludes", "write mode: host for the port, or remove endpoint_mode", place...)
		}
		spec.Ports = append(spec.Ports, swarm.PortConfig{
			Name: p.Name, Protocol: swarm.PortConfigProtocol(p.Protocol), TargetPort: p.Target,
			PublishedPort: published, PublishMode: swarm.PortConfigPublishMode(p.Mode),
		})
	}
	slices.SortStableFunc(spec.Ports, func(a, b swarm.PortConfig) int {
		return cmp.Or(cmp.Compare(a.PublishedPort, b.PublishedPort), cmp.Compare(a.TargetPort, b.TargetPort), cmp.Compare(a.Protocol, b.Protocol))
	})
	return spec
}

// published returns the number of a published port, 0 if the Swarm chooses it.
func (s service) published(text string, place []string) uint32 {
	if text == "" {
		return 0
	}
	port, err := strconv.ParseUint(text, 10, 16)
	switch {
	case strings.Contains(text, "-"):
		s.refuse("publishes one port as one of a range, which a Swarm cannot choose from", "write one published port, or as many target ports as published ones", place...)
	case err != nil:
		s.refuse("a published port is not a number from 0 to 65535", "write a number, such as 8080", place...)
	}
	return uint32(port)
}
