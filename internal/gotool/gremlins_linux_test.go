package gotool_test

import (
	"strings"
	"testing"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/internal/gotool"
)

// Other systems' shells may have no limit of addresses.
func TestMutation_ProcessesHaveLimitedMemory(t *testing.T) {
	dir := mutated(t, map[string]string{"pkg/greedy": "greedy"})
	if _, _, err := mutate(t.Context(), t, gotool.Mutation{Dir: dir, Only: "pkg/greedy"}); fault.CodeOf(err) != fault.Failed || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("%v", err)
	}
}
