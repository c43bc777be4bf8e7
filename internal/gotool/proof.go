package gotool

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
)

// Proof sums what the tests of a run report to have seen: numbers by key. A test
// reports them in a line of its log:
//
//	proof: surfaces=491 bytes=361549829 planted=341 found=341 values=0
type Proof map[string]int64

// The keys of a Proof.
const (
	ProofCombinations = "combinations" // of service, secret and source that a service really used
	ProofServices     = "services"     // of them
	ProofSecrets      = "secrets"      // of them
	ProofSources      = "sources"      // of them
	ProofRefusals     = "refusals"     // starts refused because of a bad secret
	ProofNamespaces   = "userns"       // engines with user namespaces where a service loaded its secrets; some kernels have none
	ProofSurfaces     = "surfaces"     // that were read to the end
	ProofBytes        = "bytes"        // of them
	ProofPlanted      = "planted"      // canaries
	ProofFound        = "found"        // of them
	ProofValues       = "values"       // of secrets, where they must not be
)

// proofIn reads one line of output. It ignores what is not a pair of a key and a
// number; Err requires the keys that must be there.
func proofIn(line string) Proof {
	_, pairs, ok := strings.Cut(line, " proof: ")
	if !ok {
		return nil
	}
	found := Proof{}
	for pair := range strings.FieldsSeq(pairs) {
		key, number, _ := strings.Cut(pair, "=")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil && key != "" {
			found[key] += n
		}
	}
	return found
}

// plus returns the sums of both.
func (p Proof) plus(other Proof) Proof {
	sum := Proof{}
	for _, one := range []Proof{p, other} {
		for key, n := range one {
			sum[key] += n
		}
	}
	return sum
}

// String renders the numbers for a person, in two lines.
func (p Proof) String() string {
	namespaces := "not on this kernel"
	if p[ProofNamespaces] > 0 {
		namespaces = "yes"
	}
	return fmt.Sprintf("proven: %d combinations of %d services, %d secrets and %d sources; %d refused starts; in user namespaces: %s\n"+
		"read: %d surfaces, %d bytes; canaries planted in them %d, found %d; values of secrets found %d",
		p[ProofCombinations], p[ProofServices], p[ProofSecrets], p[ProofSources], p[ProofRefusals], namespaces,
		p[ProofSurfaces], p[ProofBytes], p[ProofPlanted], p[ProofFound], p[ProofValues])
}

// Err returns an error unless something of each kind was seen, each canary that
// was planted was found, and no value was.
func (p Proof) Err() error {
	for _, key := range []string{ProofCombinations, ProofServices, ProofSecrets, ProofSources, ProofRefusals, ProofSurfaces, ProofBytes, ProofPlanted} {
		if p[key] <= 0 {
			return &fault.Error{Code: fault.Failed, What: "the tests did not say how many " + key + " they saw: nothing is proven", Next: "mage test:integration"}
		}
	}
	if p[ProofFound] != p[ProofPlanted] {
		return &fault.Error{Code: fault.Failed, What: "not every canary was found: the search cannot be believed", Next: "read what failed above"}
	}
	if p[ProofValues] != 0 {
		return &fault.Error{Code: fault.Leak, What: "values of secrets were found where they must not be", Next: "read where, above"}
	}
	return nil
}
