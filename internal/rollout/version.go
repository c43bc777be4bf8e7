package rollout

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keepmum/keepmum/internal/docker"
	"github.com/keepmum/keepmum/internal/fault"
)

// maxName is the longest name of a secret or config that a Swarm takes.
const maxName = 64

var (
	stackName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	swarmName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$`)
)

// Version is one immutable Swarm secret that holds one value of a secret, or one
// Swarm config that holds one content of a config.
type Version struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"` // in the Swarm
	Stack       string    `json:"stack"`
	Of          string    `json:"of"` // declared name of the secret or config
	Number      int       `json:"version"`
	Environment string    `json:"environment,omitempty"`
	Fingerprint string    `json:"-"`
	By          string    `json:"by,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Created     time.Time `json:"created"`
}

// VersionName returns the name of a version in the Swarm: STACK_NAME.vNUMBER. A
// version's number says nothing about its value.
func VersionName(stack, name string, number int) string {
	return stack + "_" + name + ".v" + strconv.Itoa(number)
}

// CheckName says what is wrong with the name of a version, "" if nothing is.
func CheckName(name string) string {
	switch {
	case len(name) > maxName:
		return fmt.Sprintf("its name in the Swarm would be %s, which is %d characters long; a Swarm takes %d", fault.Printable(name), len(name), maxName)
	case !swarmName.MatchString(name):
		return "its name in the Swarm would be " + fault.Printable(name) + "; a Swarm takes letters, digits, and - _ . between them"
	}
	return ""
}

// CheckStack returns a usage error unless name can be a stack's.
func CheckStack(name string) error {
	switch {
	case name == "":
		return &fault.Error{Code: fault.Usage, What: "no stack is named: docker-compose.yml has no name:", Next: "the same command with -stack=NAME, or set KEEPMUM_STACK"}
	case !stackName.MatchString(name):
		return &fault.Error{Code: fault.Usage, What: fault.Printable(name) + " cannot be a stack's name: use lower-case letters, digits, - and _, and begin with a letter or digit", Next: "the same command with another name"}
	}
	return nil
}

// SecretVersions returns a stack's versions by the declared names of their
// secrets, the oldest first. A secret without keepmum's labels is no version.
func SecretVersions(stack string, all []docker.SwarmSecret) map[string][]Version {
	byName := map[string][]Version{}
	for _, s := range all {
		add(byName, stack, s.Labels[docker.LabelSecret], Version{ID: s.ID, Name: s.Name, Created: s.Created}, s.Labels)
	}
	return sorted(byName)
}

// ConfigVersions is SecretVersions for configs.
func ConfigVersions(stack string, all []docker.SwarmConfig) map[string][]Version {
	byName := map[string][]Version{}
	for _, c := range all {
		add(byName, stack, c.Labels[docker.LabelConfig], Version{ID: c.ID, Name: c.Name, Created: c.Created}, c.Labels)
	}
	return sorted(byName)
}

// add adds one version if the labels agree with its name.
func add(byName map[string][]Version, stack, of string, v Version, labels map[string]string) {
	number, err := strconv.Atoi(labels[docker.LabelVersion])
	if of == "" || err != nil || labels[docker.LabelStack] != stack || v.Name != VersionName(stack, of, number) {
		return
	}
	v.Stack, v.Of, v.Number = stack, of, number
	v.Environment, v.Fingerprint = labels[docker.LabelEnvironment], labels[docker.LabelFingerprint]
	v.By, v.Reason = labels[docker.LabelBy], labels[docker.LabelReason]
	byName[of] = append(byName[of], v)
}

func sorted(byName map[string][]Version) map[string][]Version {
	for _, versions := range byName {
		slices.SortFunc(versions, func(a, b Version) int { return cmp.Compare(a.Number, b.Number) })
	}
	return byName
}

// Newest returns the last of the versions, and whether there is one.
func Newest(versions []Version) (Version, bool) {
	if len(versions) == 0 {
		return Version{}, false
	}
	return versions[len(versions)-1], true
}

// NextNumber returns the number of the version that comes next. Names that
// somebody else took count too: a number is never used twice.
func NextNumber(stack, of string, taken []string) int {
	highest := 0
	for _, name := range taken {
		rest, ok := strings.CutPrefix(name, stack+"_"+of+".v")
		if number, err := strconv.Atoi(rest); ok && err == nil && number > highest {
			highest = number
		}
	}
	return highest + 1
}
