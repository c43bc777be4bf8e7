package secrets

import (
	"fmt"
	"reflect"
	"slices"
)

// field is one field of the destination that a tag names.
type field struct {
	tag
	path  string // Go names from the destination down, for messages
	value reflect.Value
}

// fieldSet is the result of walking through the destination.
type fieldSet struct {
	fields   []field
	problems []Problem
	allocs   []func() // set those pointers to nested structs that were nil
}

// collect finds every tagged field of dst, and every mistake in its tags and
// types. It does not change dst.
func collect(dst any) *fieldSet {
	set := &fieldSet{}
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		set.misuse("", "the destination must be a pointer to a struct, not nil")
		return set
	}
	set.walk(v.Elem(), "", v.Elem().Type().Name(), nil)
	if len(set.fields) == 0 && len(set.problems) == 0 {
		set.misuse(v.Elem().Type().Name(), `no field has a tag like secret:"NAME"`)
	}
	set.checkFileNames()
	return set
}

// misuse records a mistake of the program.
func (s *fieldSet) misuse(path, reason string) {
	s.problems = append(s.problems, Problem{Name: path, Reason: reason, Err: ErrUsage})
}

// walk visits the fields of the struct v. The enclosing types are in above, so
// that the walk of a recursive type ends.
func (s *fieldSet) walk(v reflect.Value, prefix, path string, above []reflect.Type) {
	t := v.Type()
	if slices.Contains(above, t) {
		s.misuse(path, "the type "+typeName(t)+" contains itself")
		return
	}
	above = append(above[:len(above):len(above)], t)
	for i := range t.NumField() {
		sf := t.Field(i)
		at := sf.Name
		if path != "" {
			at = path + "." + sf.Name
		}
		text, tagged := sf.Tag.Lookup("secret")
		if text == "-" {
			continue
		}
		if !tagged {
			s.nest(v.Field(i), prefix, at, above)
			continue
		}
		parsed, err := parseTag(text)
		switch {
		case err != nil:
			s.misuse(at, "bad tag: "+err.Error())
		case parsed.prefix:
			s.nestTagged(v.Field(i), prefix+parsed.name, at, above)
		default:
			parsed.name = prefix + parsed.name
			s.add(field{tag: parsed, path: at, value: v.Field(i)})
		}
	}
}

// add keeps f if it can take a value.
func (s *fieldSet) add(f field) {
	if !f.value.CanSet() {
		s.misuse(f.path, "the field is not exported, so it cannot be set")
		return
	}
	if reason := f.misfit(); reason != "" {
		s.misuse(f.path, reason)
		return
	}
	s.fields = append(s.fields, f)
}

// nestTagged walks a nested struct whose tag has the option prefix.
func (s *fieldSet) nestTagged(v reflect.Value, prefix, path string, above []reflect.Type) {
	if !hasTags(v.Type(), nil) {
		s.misuse(path, "prefix is for a struct whose fields have secret tags")
		return
	}
	s.nest(v, prefix, path, above)
}

// nest walks a nested struct, or one behind a pointer, if any of its fields
// has a tag. A nil pointer is set to a new struct once the whole load has
// succeeded.
func (s *fieldSet) nest(v reflect.Value, prefix, path string, above []reflect.Type) {
	if !hasTags(v.Type(), nil) {
		return
	}
	if v.Kind() == reflect.Struct {
		s.walk(v, prefix, path, above)
		return
	}
	if !v.IsNil() {
		s.walk(v.Elem(), prefix, path, above)
		return
	}
	if !v.CanSet() {
		s.misuse(path, "the field is not exported, so it cannot be set")
		return
	}
	made := reflect.New(v.Type().Elem())
	s.allocs = append(s.allocs, func() { v.Set(made) })
	s.walk(made.Elem(), prefix, path, above)
}

// hasTags reports whether t is a struct, or a pointer to one, with a secret
// tag at any depth.
func hasTags(t reflect.Type, seen []reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains(seen, t) {
		return false
	}
	seen = append(seen[:len(seen):len(seen)], t)
	for i := range t.NumField() {
		sf := t.Field(i)
		text, tagged := sf.Tag.Lookup("secret")
		if text == "-" {
			continue
		}
		if tagged || hasTags(sf.Type, seen) {
			return true
		}
	}
	return false
}

// checkFileNames rejects a secret A_FILE along with a secret A: $A_FILE names
// the file of A.
func (s *fieldSet) checkFileNames() {
	names := map[string]bool{}
	for _, f := range s.fields {
		names[f.name] = true
	}
	for _, f := range s.fields {
		if names[f.name+"_FILE"] {
			s.misuse(f.path, fmt.Sprintf("%s_FILE is a secret too, but $%[1]s_FILE names the file of %[1]s", f.name))
		}
	}
}
