package values

import "runtime"

// posix tells whether files have permission bits here.
const posix = runtime.GOOS != "windows"
