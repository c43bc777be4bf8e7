package secretdir

// SetStep makes d call step after each step of a write.
func SetStep(d *Dir, step func()) { d.step = step }
