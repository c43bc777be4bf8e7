package swarm

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"

	"github.com/distribution/reference"
	dockerconfig "github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	stored "github.com/docker/cli/cli/config/credentials"
	"github.com/docker/cli/cli/config/types"
	"github.com/docker/docker/api/types/registry"

	"github.com/keepmum/keepmum/internal/proc"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// dockerHub is where docker login keeps the credentials for docker.io.
const dockerHub = "https://index.docker.io/v1/"

// credentials are what docker login stored for a registry.
type credentials struct {
	header  secrets.Secret // encoded for X-Registry-Auth; zero: none
	known   []secrets.Known
	problem string // why there are none although some may be stored
}

// Credentials returns the stored credentials for the images' registries, for
// masking.
func (s *Swarm) Credentials(ctx context.Context, images ...string) []secrets.Known {
	var all []secrets.Known
	seen := map[string]bool{}
	for _, image := range images {
		if key := registryOf(image); key != "" && !seen[key] {
			seen[key] = true
			all = append(all, s.login(ctx, key).known...)
		}
	}
	return all
}

// loginFor returns the credentials for an image's registry. The error is that
// they would be sent in clear.
func (s *Swarm) loginFor(ctx context.Context, image string) (credentials, error) {
	key := registryOf(image)
	if key == "" {
		return credentials{}, nil
	}
	login := s.login(ctx, key)
	if login.header.IsZero() {
		return login, nil
	}
	return login, s.TakesValues()
}

// registryOf returns the key of an image's registry in the docker configuration,
// "" if this is not the name of an image.
func registryOf(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	if domain := reference.Domain(named); domain != "docker.io" {
		return domain
	}
	return dockerHub
}

// login looks the credentials up, once for each registry.
func (s *Swarm) login(ctx context.Context, key string) credentials {
	s.mu.Lock()
	before, ok := s.logins[key]
	s.mu.Unlock()
	if ok {
		return before
	}
	found, problem := s.stored(ctx, key)
	login := encoded(key, found)
	login.problem = problem
	if ctx.Err() == nil {
		s.mu.Lock()
		s.logins[key] = login
		s.mu.Unlock()
	}
	return login
}

// stored looks where the docker command looks, in its order. The errors of its
// packages may quote what they read.
func (s *Swarm) stored(ctx context.Context, key string) (found types.AuthConfig, problem string) {
	if text, _ := s.lookupEnv(configfile.DockerEnvConfigKey); text != "" {
		file, err := dockerconfig.LoadFromReader(strings.NewReader(text))
		if err != nil {
			return found, configfile.DockerEnvConfigKey + " is not understood"
		}
		if found, _ = stored.NewFileStore(file).Get(key); found != (types.AuthConfig{}) {
			return found, ""
		}
	}
	file, err := dockerconfig.Load(s.configDir)
	if err != nil {
		return found, "config.json of the docker configuration is not understood"
	}
	helper := file.CredentialsStore
	if own, ok := file.CredentialHelpers[key]; ok {
		helper = own
	}
	if helper != "" {
		return s.askHelper(ctx, "docker-credential-"+helper, key)
	}
	found, _ = stored.NewFileStore(file).Get(key)
	return found, ""
}

// notStored is what every credential helper prints for a registry without
// credentials.
const notStored = "credentials not found in native keychain"

// askHelper runs a credential helper.
func (s *Swarm) askHelper(ctx context.Context, name, key string) (found types.AuthConfig, problem string) {
	path, err := exec.LookPath(name)
	if err != nil {
		return found, "the credential helper " + name + " is not installed"
	}
	ctx, cancel := context.WithTimeout(ctx, s.registry)
	defer cancel()
	var out bytes.Buffer
	err = proc.Command{Path: path, Args: []string{"get"}, Env: proc.Inherit(s.lookupEnv, helperNames()), In: strings.NewReader(key), Out: &out}.Run(ctx)
	switch {
	case ctx.Err() != nil:
		return found, "the credential helper " + name + " did not answer within " + s.registry.String()
	case err != nil && strings.Contains(out.String(), notStored):
		return found, ""
	}
	var said struct{ Username, Secret string }
	if err != nil || json.Unmarshal(out.Bytes(), &said) != nil {
		return found, "the credential helper " + name + " failed"
	}
	found = types.AuthConfig{Username: said.Username, Password: said.Secret, ServerAddress: key}
	if said.Username == "<token>" {
		found = types.AuthConfig{IdentityToken: said.Secret, ServerAddress: key}
	}
	return found, ""
}

// helperNames lists what credential helpers need: the variables of the Docker
// client, of key rings, and of the clouds whose registries have a helper.
func helperNames() []string {
	own := []string{
		"DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_DATA_HOME", "GNUPGHOME", "GPG_TTY", "PASSWORD_STORE_DIR",
		"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SDK_LOAD_CONFIG", "AWS_CA_BUNDLE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_ECR_CACHE_DIR", "AWS_ECR_DISABLE_CACHE",
		"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "CLOUDSDK_ACTIVE_CONFIG_NAME", "CLOUDSDK_CORE_PROJECT",
		"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_CONFIG_DIR", "AZURE_FEDERATED_TOKEN_FILE",
	}
	return append(append(proc.EngineNames(), proc.ProxyNames()...), own...)
}

// encoded returns credentials as a request has them.
func encoded(key string, found types.AuthConfig) credentials {
	if found.Password == "" && found.IdentityToken == "" && found.RegistryToken == "" && found.Auth == "" {
		return credentials{}
	}
	header, err := registry.EncodeAuthConfig(registry.AuthConfig{
		Username: found.Username, Password: found.Password, Auth: found.Auth, ServerAddress: found.ServerAddress,
		IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken,
	})
	if err != nil {
		return credentials{}
	}
	login := credentials{header: secrets.New([]byte(header))}
	for _, value := range []string{found.Password, found.IdentityToken, found.RegistryToken, found.Auth, header} {
		if value != "" {
			login.known = append(login.known, secrets.Known{Name: "registry " + key, Value: secrets.New([]byte(value))})
		}
	}
	return login
}
