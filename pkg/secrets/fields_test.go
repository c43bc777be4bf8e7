package secrets_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
)

type inner struct {
	User     string         `secret:"USER"`
	Password secrets.Secret `secret:"PASSWORD"`
}

type named string
type bytesLike []byte

// TestLoadFillsEveryKindOfField loads one struct with every kind of field.
func TestLoadFillsEveryKindOfField(t *testing.T) {
	type config struct {
		String  string          `secret:"V"`
		Bytes   []byte          `secret:"V"`
		Secret  secrets.Secret  `secret:"V"`
		Named   named           `secret:"V"`
		Like    bytesLike       `secret:"V"`
		PString *string         `secret:"V"`
		PSecret *secrets.Secret `secret:"V"`
		PBytes  *[]byte         `secret:"V"`
		Other   int
		Out     string `secret:"-"`
		hidden  string
		Nested  struct {
			Deep struct {
				V string `secret:"V"`
			}
		}
		inner
		Prefixed inner  `secret:"A_,prefix"`
		Pointer  *inner `secret:"A_,prefix"`
		Twice    struct {
			In inner `secret:"B_,prefix"`
		} `secret:"A_,prefix"`
		Untagged *struct {
			V string `secret:"V"`
		}
		Plain *struct{ X int }
		Any   any
	}
	values := map[string]string{
		"V": "v", "USER": "u", "PASSWORD": "p", "A_USER": "au", "A_PASSWORD": "ap", "A_B_USER": "abu", "A_B_PASSWORD": "abp",
	}
	c := config{hidden: "kept", Out: "kept", Other: 7}
	c.Untagged = nil
	if _, err := secretstest.Values(values).Load(&c); err != nil {
		t.Fatal(err)
	}
	got := []string{
		c.String, string(c.Bytes), c.Secret.RevealString(), string(c.Named), string(c.Like), *c.PString, c.PSecret.RevealString(),
		string(*c.PBytes), c.Nested.Deep.V, c.User, c.Password.RevealString(), c.Prefixed.User, c.Prefixed.Password.RevealString(),
		c.Pointer.User, c.Twice.In.User, c.Twice.In.Password.RevealString(), c.Untagged.V, c.hidden, c.Out,
	}
	want := strings.Fields("v v v v v v v v v u p au ap au abu abp v kept kept")
	if !reflect.DeepEqual(got, want) || c.Plain != nil || c.Other != 7 {
		t.Errorf("got %v", got)
	}
	c.Bytes[0] = 'X'
	secretstest.Holds(t, c.Secret, "v")
}

// TestLoadKeepsPointers: an existing struct is filled, not replaced, and a load
// that fails allocates none.
func TestLoadKeepsPointers(t *testing.T) {
	type config struct {
		There *inner
		Nil   *inner `secret:"X_,prefix"`
	}
	there := &inner{User: "before"}
	c := config{There: there}
	values := map[string]string{"USER": "u", "PASSWORD": "p"}
	if _, err := secretstest.Values(values).Load(&c); !errors.Is(err, secrets.ErrMissing) || c.Nil != nil || there.User != "before" {
		t.Errorf("after a failure: %v, %+v", err, c)
	}
	values["X_USER"], values["X_PASSWORD"] = "xu", "xp"
	if _, err := secretstest.Values(values).Load(&c); err != nil || c.There != there || there.User != "u" || c.Nil.User != "xu" {
		t.Errorf("after a success: %v, %+v", err, c)
	}
}

type recursive struct {
	A    string `secret:"A"`
	Next *recursive
}

type mutual struct {
	A     string `secret:"A"`
	Other struct{ Back []*mutual }
}

// TestLoadReportsMisuse: each mistake is an error of class ErrUsage that names the
// field, not a panic.
func TestLoadReportsMisuse(t *testing.T) {
	var nilConfig *inner
	text, number := "", 1
	for name, c := range map[string]struct {
		dst  any
		want string
	}{
		"nil":           {nil, "the destination must be a pointer to a struct"},
		"a struct":      {inner{}, "the destination must be a pointer to a struct"},
		"a nil pointer": {nilConfig, "the destination must be a pointer to a struct"},
		"a string":      {&text, "the destination must be a pointer to a struct"},
		"two pointers":  {&nilConfig, "the destination must be a pointer to a struct"},
		"a map":         {map[string]string{}, "the destination must be a pointer to a struct"},
		"a func":        {func() {}, "the destination must be a pointer to a struct"},
		"a number":      {number, "the destination must be a pointer to a struct"},
		"no tags":       {&struct{ A string }{}, `no field has a tag like secret:"NAME"`},
		"another tag": {&struct {
			A string `secrets:"A"`
		}{}, `no field has a tag like secret:"NAME"`},
		"an empty struct": {&struct{}{}, `no field has a tag like secret:"NAME"`},
		"unexported": {&struct {
			a string `secret:"A"`
		}{}, "a: the field is not exported"},
		"unexported struct": {&struct {
			in inner
		}{}, "in.User: the field is not exported"},
		"unexported pointer": {&struct {
			in *inner
		}{}, "in: the field is not exported"},
		"unexported embedded pointer": {&struct {
			*inner
		}{}, "inner: the field is not exported"},
		"int": {&struct {
			A int `secret:"A"`
		}{}, "A: a value cannot become int"},
		"struct": {&struct {
			A inner `secret:"A"`
		}{}, "A: a value cannot become secrets_test.inner"},
		"any": {&struct {
			A any `secret:"A"`
		}{}, "A: a value cannot become interface {}"},
		"strings": {&struct {
			A []string `secret:"A"`
		}{}, "A: a value cannot become []string"},
		"array": {&struct {
			A [4]byte `secret:"A"`
		}{}, "A: a value cannot become [4]uint8"},
		"pp": {&struct {
			A **string `secret:"A"`
		}{}, "A: a value cannot become **string"},
		"func": {&struct {
			A func() `secret:"A,json"`
		}{}, "A: json cannot become func()"},
		"chan": {&struct {
			A chan int `secret:"A,json"`
		}{}, "A: json cannot become chan int"},
		"pem int": {&struct {
			A int `secret:"A,pem"`
		}{}, "A: pem cannot become int"},
		"pem err": {&struct {
			A error `secret:"A,pem"`
		}{}, "A: pem cannot become error"},
		"struct with a default": {&struct {
			A struct {
				B string `secret:"B,optional,default=hunter2"`
			} `secret:"A"`
		}{}, "A: a value cannot become a type of kind struct"},
		"prefix on a string": {&struct {
			A string `secret:"A,prefix"`
		}{}, "A: prefix is for a struct"},
		"prefix, no tags": {&struct {
			A struct{ X int } `secret:"A,prefix"`
		}{}, "A: prefix is for a struct"},
		"recursive": {&recursive{}, "recursive.Next: the type secrets_test.recursive contains itself"},
		"name of a file": {&struct {
			A string `secret:"A"`
			B string `secret:"A_FILE"`
		}{}, "A: A_FILE is a secret too, but $A_FILE names the file of A"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := secretstest.Values(map[string]string{"A": "hunter2", "A_FILE": "hunter2", "USER": "x", "PASSWORD": "x"}).Load(c.dst)
			if !errors.Is(err, secrets.ErrUsage) || !strings.Contains(err.Error(), "\n  "+c.want) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error holds a value")
			}
		})
	}
	if _, err := secretstest.Values(map[string]string{"A": "a"}).Load(&mutual{}); err != nil {
		t.Errorf("a type that contains itself in a slice: %v", err)
	}
}

func TestTags(t *testing.T) {
	for name, c := range map[string]struct{ tag, want string }{
		"plain":               {`A`, ""},
		"optional":            {`A,optional`, ""},
		"order":               {`A,json,optional,default=1`, ""},
		"default with commas": {`A,optional,default=a,json,b=c`, ""},
		"no name":             {``, "bad tag: a secret needs a name"},
		"no name, options":    {`,optional`, "bad tag: a secret needs a name"},
		"bad name":            {`a-b`, "bad tag: not a valid secret name"},
		"blank":               {`A, optional`, "bad tag: unknown option"},
		"unknown":             {`A,hunter2`, "bad tag: unknown option"},
		"misspelled default":  {`A,optional,defualt=hunter2`, "bad tag: unknown option"},
		"empty option":        {`A,`, "bad tag: an option is empty"},
		"empty option within": {`A,,optional`, "bad tag: an option is empty"},
		"default alone":       {`A,default=hunter2`, "bad tag: default is for an optional secret"},
		"empty default":       {`A,optional,default=`, "bad tag: default is empty"},
		"json and pem":        {`A,json,pem`, "bad tag: use json or pem"},
		"json twice":          {`A,json,json`, "bad tag: use json or pem"},
		"prefix and optional": {`A,prefix,optional`, "bad tag: prefix cannot be combined"},
		"prefix and default":  {`A,prefix,default=hunter2`, "bad tag: prefix cannot be combined"},
		"comma in a default":  {`A,optional,default=hunter2,`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			// The tag is only known at run time, so the type is built here.
			fieldType := reflect.TypeFor[string]()
			if strings.HasPrefix(c.tag, "A,json,optional") {
				fieldType = reflect.TypeFor[int]()
			}
			typ := reflect.StructOf([]reflect.StructField{{
				Name: "F", Type: fieldType, Tag: reflect.StructTag(`secret:"` + c.tag + `"`),
			}})
			_, err := secretstest.Values(map[string]string{"A": "1"}).Load(reflect.New(typ).Interface())
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if !errors.Is(err, secrets.ErrUsage) || !strings.Contains(err.Error(), "F: "+c.want) {
				t.Errorf("got %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error holds a default")
			}
		})
	}
	var config struct {
		A string `secret:"A,optional,default=a,json, b=c"`
	}
	if _, err := secretstest.Values(nil).Load(&config); err != nil || config.A != "a,json, b=c" {
		t.Errorf("the default is %q, %v", config.A, err)
	}
}
