//go:build integration && unix

package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/testcontainers/testcontainers-go"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// victimVariable is set for a test binary that will be killed.
const victimVariable = "KEEPMUM_TEST_VICTIM"

func TestKilledTestBinaryLeavesNoServer(t *testing.T) {
	if os.Getenv(victimVariable) != "" {
		fmt.Println(Start(t).container.GetContainerID())
		<-t.Context().Done() // it is killed
	}
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	check(t, err)
	t.Cleanup(func() { docker.Close() })
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), victimVariable+"=1")
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	id := ""
	for lines := bufio.NewScanner(out); len(id) != 64 && lines.Scan(); {
		id = lines.Text()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}) // it should be gone
	})
	_, made := docker.ContainerInspect(t.Context(), id)
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	check(t, made)
	for deadline := time.Now().Add(time.Minute); ; <-time.After(20 * time.Millisecond) {
		if _, err := docker.ContainerInspect(t.Context(), id); errdefs.IsNotFound(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the server of a killed test binary is still there")
		}
	}
}
