package engine

import (
	"cmp"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/context"
	dockercontext "github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/client"

	"github.com/keepmum/keepmum/internal/docker"
)

// Options says where [Connect] looks. The zero value does what the docker
// command does.
type Options struct {
	LookupEnv   func(string) (string, bool) // nil: os.LookupEnv
	ConfigDir   string                      // "": $DOCKER_CONFIG, or .docker in the home directory
	DefaultHost string                      // "": the default socket of this platform
	Deadline    time.Duration               // how long an engine may take to answer; 0: 10 s, by ssh 30 s
	Installed   func() bool                 // whether an engine is installed here; nil: looks for dockerd

	CallDeadline time.Duration // how long a later call may take that does not stream; 0: 30 s
}

// target is an endpoint and how to reach it.
type target struct {
	docker.Endpoint
	scheme  string // unix, npipe, tcp, ssh
	address string // to dial: a path or host:port
	tls     bool
	opts    []client.Opt
}

// resolve follows the order of the docker command.
func resolve(opt Options) (target, error) {
	if host := opt.env("DOCKER_HOST"); host != "" {
		return opt.explicit(host)
	}
	name := opt.env("DOCKER_CONTEXT")
	if name == "" {
		var err error
		if name, err = opt.currentContext(); err != nil {
			return target{}, err
		}
	}
	if name == "" || name == "default" {
		meta := dockercontext.EndpointMeta{Host: opt.defaultHost()}
		return opt.reach("default", dockercontext.Endpoint{EndpointMeta: meta})
	}
	return opt.fromContext(name)
}

// explicit returns the endpoint of DOCKER_HOST, with the TLS settings of
// DOCKER_TLS_VERIFY, DOCKER_TLS and DOCKER_CERT_PATH.
func (o Options) explicit(host string) (target, error) {
	verify, plain := o.env("DOCKER_TLS_VERIFY") != "", o.env("DOCKER_TLS") != ""
	ep := dockercontext.Endpoint{EndpointMeta: dockercontext.EndpointMeta{Host: host}}
	if verify || plain {
		ep.SkipTLSVerify = !verify
		dir := cmp.Or(o.env("DOCKER_CERT_PATH"), o.configDir())
		data, err := tlsFiles(dir)
		if err != nil {
			e := docker.Endpoint{Host: show(host), Source: "DOCKER_HOST", Remote: true}
			return target{}, failure(docker.CauseTLS, e, "a TLS file cannot be read",
				"the TLS files for DOCKER_HOST in "+dir+" cannot be read: ca.pem, cert.pem and key.pem",
				"set DOCKER_CERT_PATH to their directory, or unset DOCKER_TLS_VERIFY")
		}
		if data == nil {
			data = &context.TLSData{} // TLS with the system's authorities
		}
		ep.TLSData = data
	}
	return o.reach("DOCKER_HOST", ep)
}

// tlsFiles reads the three files that the docker command looks for. Each may be
// missing.
func tlsFiles(dir string) (*context.TLSData, error) {
	path := func(name string) string {
		full := filepath.Join(dir, name)
		if _, err := os.Stat(full); os.IsNotExist(err) {
			return ""
		}
		return full
	}
	return context.TLSDataFromFiles(path("ca.pem"), path("cert.pem"), path("key.pem"))
}

// currentContext returns the context that config.json names, "" for none.
func (o Options) currentContext() (string, error) {
	file, err := config.Load(o.configDir())
	if err != nil {
		return "", failure(docker.CauseContext, docker.Endpoint{Source: "default"}, "config.json cannot be read",
			filepath.Join(o.configDir(), "config.json")+" is not a valid docker configuration, so keepmum cannot know which engine to use",
			"fix or remove the file, or set DOCKER_HOST")
	}
	return file.CurrentContext, nil
}

// fromContext returns the endpoint of a named context.
func (o Options) fromContext(name string) (target, error) {
	contexts := store.New(filepath.Join(o.configDir(), "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(dockercontext.DockerEndpoint, func() any { return &dockercontext.EndpointMeta{} })))
	source := "context " + name
	refuse := func(problem string) (target, error) {
		return target{}, failure(docker.CauseContext, docker.Endpoint{Source: source}, problem,
			"the docker context "+name+" "+problem+o.known(contexts),
			"docker context use default, or unset DOCKER_CONTEXT")
	}
	metadata, err := contexts.GetMetadata(name)
	if err != nil {
		if _, statErr := os.Stat(contexts.GetStorageInfo(name).MetadataPath); statErr == nil {
			return refuse("cannot be read")
		}
		return refuse("does not exist")
	}
	meta, err := dockercontext.EndpointFromContext(metadata)
	if err != nil || meta.Host == "" {
		return refuse("has no Docker endpoint")
	}
	ep, err := dockercontext.WithTLSData(contexts, name, meta)
	if err != nil {
		return refuse("has TLS files that cannot be read")
	}
	return o.reach(source, ep)
}

// known lists the existing contexts, for a message.
func (o Options) known(contexts store.Lister) string {
	names, err := store.Names(contexts)
	if err != nil || len(names) == 0 {
		return ""
	}
	return "; there are: default, " + strings.Join(names, ", ")
}

// reach checks an address and prepares the client for it.
func (o Options) reach(source string, ep dockercontext.Endpoint) (target, error) {
	t := target{Endpoint: docker.Endpoint{Host: show(ep.Host), Source: source}}
	t.tls = ep.TLSData != nil || ep.SkipTLSVerify
	full, problem := t.parse(ep.Host)
	if problem == "" {
		ep.Host, t.Host = full, show(full)
		var err error
		if t.opts, err = ep.ClientOpts(); err != nil {
			problem = "is not a usable address"
			if t.tls {
				return target{}, failure(docker.CauseTLS, t.Endpoint, "the TLS files are not valid",
					"the TLS certificates for "+t.Host+" ("+source+") are not valid PEM files that match each other",
					"docker context inspect, or DOCKER_CERT_PATH: check ca.pem, cert.pem and key.pem")
			}
		}
	}
	if problem != "" {
		return target{}, failure(docker.CauseAddress, t.Endpoint, problem,
			"the engine's address "+t.Host+" ("+source+") "+problem,
			"use unix:///path, tcp://host:port or ssh://user@host; or unset DOCKER_HOST and DOCKER_CONTEXT")
	}
	if version := o.env("DOCKER_API_VERSION"); version != "" {
		t.opts = append(t.opts, client.WithVersion(version))
	}
	return t, nil
}

// parse takes an address apart and returns it with the scheme and port that the
// docker command adds, or what is wrong with it. Another machine is remote: its
// bind mounts are not our files. A loopback port counts as this machine.
func (t *target) parse(host string) (full, problem string) {
	if !strings.Contains(host, "://") {
		host = "tcp://" + host
	}
	t.scheme, t.address, _ = strings.Cut(host, "://")
	u, err := url.Parse(host)
	switch local := t.scheme == "unix" || t.scheme == "npipe"; {
	case local && t.address == "":
		return "", "names no socket"
	case local:
		return host, ""
	case t.scheme != "tcp" && t.scheme != "ssh":
		return "", "has an unknown scheme"
	case err != nil || u.Hostname() == "":
		return "", "names no host"
	case t.scheme == "ssh":
		if _, ok := u.User.Password(); ok {
			return "", "contains a password; ssh needs a key"
		}
		t.Remote = true
		return host, ""
	}
	if u.Port() == "" {
		port := "2375"
		if t.tls {
			port = "2376"
		}
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	t.address, t.Remote = u.Host, u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback()
	return u.String(), ""
}

// base returns where the API is, from the address that the client has for the
// connection. Only its dialler knows a socket's path.
func (t target) base(host string) url.URL {
	base := url.URL{Scheme: "http", Host: client.DummyHost}
	if t.tls {
		base.Scheme = "https"
	}
	if at, err := client.ParseHostURL(host); err == nil && t.scheme != "unix" && t.scheme != "npipe" {
		base.Host, base.Path = at.Host, at.Path
	}
	return base
}

// show returns an address without its password, for messages.
func show(host string) string {
	scheme, rest, ok := strings.Cut(host, "://")
	if !ok {
		scheme, rest = "tcp", host
	}
	if scheme == "unix" || scheme == "npipe" {
		return scheme + "://" + rest
	}
	user := ""
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, _ = strings.Cut(rest[:at], ":")
		user, rest = user+"@", rest[at+1:]
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + "://" + user + rest
}

func (o Options) env(name string) string {
	lookup := o.LookupEnv
	if lookup == nil {
		lookup = os.LookupEnv
	}
	value, _ := lookup(name)
	return value
}

func (o Options) configDir() string {
	return cmp.Or(o.ConfigDir, o.env("DOCKER_CONFIG"), filepath.Join(o.home(), ".docker"))
}

func (o Options) home() string {
	name := "HOME"
	if runtime.GOOS == "windows" {
		name = "USERPROFILE"
	}
	return o.env(name)
}

func (o Options) defaultHost() string {
	return cmp.Or(o.DefaultHost, client.DefaultDockerHost)
}
