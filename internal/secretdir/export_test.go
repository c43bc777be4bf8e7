package secretdir

import "os"

// SetStep makes d call step after each step of a write.
func SetStep(d *Dir, step func()) { d.step = step }

// SetSync makes d sync files and its directory by fsync.
func SetSync(d *Dir, fsync func(*os.File) error) { d.fsync = fsync }

// SetProjectSync makes p sync files by fsync.
func SetProjectSync(p *Project, fsync func(*os.File) error) { p.fsync = fsync }
