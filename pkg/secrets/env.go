package secrets

import (
	"errors"
	"os"
)

// Env returns a source over environment variables: $NAME, or the file that
// $NAME_FILE names, as in Docker's official images. A nil lookup means
// os.LookupEnv.
//
// An empty variable counts as absent, because Compose's ${NAME:-} sets an
// empty one. It is an error if both variables are set, and also if the file
// that $NAME_FILE names does not exist: that is not absent. The file is read
// with the same checks as in [Dir], but it may be a symlink to anywhere,
// because whoever set the variable chose it.
func Env(lookup func(string) (string, bool)) Source {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	return envSource{lookup}
}

type envSource struct {
	lookup func(string) (string, bool)
}

// Lookup implements Source.
func (e envSource) Lookup(name string) (Found, error) {
	found := Found{Kind: KindEnv, Place: "$" + name}
	if err := ValidName(name); err != nil {
		return found, err
	}
	fileName := name + "_FILE"
	value, _ := e.lookup(name)
	path, _ := e.lookup(fileName)
	switch {
	case value == "" && path == "":
		return found, &absence{[]string{"$" + name, "$" + fileName}}
	case value != "" && path != "":
		return found, &fault{
			class: ErrUnreadable, place: "$" + name, reason: "$" + fileName + " is set too",
			hint: "unset one of the two",
		}
	case path != "":
		found.byFile = true
		found.Place = "$" + fileName
		if exists(path) { // otherwise path may be a value, set by mistake
			found.Place += "=" + path
		}
		data, err := readPath(found.Place, path)
		found.Value = own(data)
		if f := (*fault)(nil); errors.As(err, &f) && f.hint == "" {
			f.hint = "$" + fileName + " must name the file that holds the value; a path that does not exist is not shown, because it may be a value"
		}
		return found, err
	}
	if err := checkSize(found.Place, len(value), MaxSize); err != nil {
		return found, err
	}
	found.Value = own([]byte(value))
	return found, nil
}
