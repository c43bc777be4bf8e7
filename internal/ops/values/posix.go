package values

import "runtime"

// posix reports whether files have permission bits here.
const posix = runtime.GOOS != "windows"
