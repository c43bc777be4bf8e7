package images

import "strings"

// PostgresVariable is the variable by which a user names the image of Postgres,
// and by which the compose file is told which one it is.
const PostgresVariable = "KEEPMUM_POSTGRES_IMAGE"

// PostgresStep is what has to be done before an image of Postgres can be used.
type PostgresStep string

// The steps.
const (
	PostgresUse  PostgresStep = "use"  // nothing: the engine has it
	PostgresPull PostgresStep = "pull" // from its registry
	PostgresMake PostgresStep = "make" // of Debian packages
)

// PostgresFacts is what the choice of an image of Postgres depends on.
type PostgresFacts struct {
	Asked    string   // value of PostgresVariable; "": none
	Default  string   // what the compose file says without it
	Present  []string // which of Asked, Default and the images of our own the engine has
	Pullable bool     // nothing was tried yet that says otherwise
}

// PostgresChoice is an image of Postgres and what has to be done for it.
type PostgresChoice struct {
	Ref  string // "" with PostgresMake: the version is not known yet
	Step PostgresStep
	Why  string // for the user
}

// ChoosePostgres chooses the image of Postgres. What the user named is taken
// and never replaced by another. What the engine has comes before what would
// have to be fetched, so that a database that one version made is not opened
// by another; and one made here comes last.
func ChoosePostgres(f PostgresFacts) PostgresChoice {
	has := func(ref string) bool {
		for _, one := range f.Present {
			if one == ref {
				return true
			}
		}
		return false
	}
	named := PostgresVariable + " names it"
	switch {
	case f.Asked != "" && has(f.Asked):
		return PostgresChoice{f.Asked, PostgresUse, named}
	case strings.HasPrefix(f.Asked, OwnPostgres):
		return PostgresChoice{f.Asked, PostgresMake, named}
	case f.Asked != "":
		return PostgresChoice{f.Asked, PostgresPull, named}
	case has(f.Default):
		return PostgresChoice{f.Default, PostgresUse, "the engine has it"}
	}
	own := ""
	for _, ref := range f.Present {
		if strings.HasPrefix(ref, OwnPostgres) && newer(ref, own) {
			own = ref
		}
	}
	switch {
	case own != "":
		return PostgresChoice{own, PostgresUse, "it was made here before"}
	case f.Pullable:
		return PostgresChoice{f.Default, PostgresPull, "the compose file names it"}
	}
	return PostgresChoice{"", PostgresMake, "no image registry answers"}
}

// newer tells whether the version in a is above that in b; both are of our own.
func newer(a, b string) bool {
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}
