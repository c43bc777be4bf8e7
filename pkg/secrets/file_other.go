//go:build !unix

package secrets

import "os"

// dockerDir is where Docker mounts secrets in a Windows container.
const dockerDir = `C:\ProgramData\Docker\secrets`

const openFlags = os.O_RDONLY

func isSpecial(error) bool { return false }
