package machine_test

import (
	"fmt"

	"github.com/keepmum/keepmum/internal/machine"
	"github.com/keepmum/keepmum/internal/ops/host"
)

// A plan is computed from facts alone; nothing is run.
func ExampleMachine_Plan() {
	plan := machine.New().Plan(host.Facts{OS: "linux", Distribution: "debian", Version: "12", Init: "systemd"})
	for _, step := range append(plan.Install, plan.Start...) {
		fmt.Println(step)
	}
	// Output:
	// apt-get -q update
	// apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends docker.io iptables ca-certificates apparmor
	// systemctl enable --now docker
}
