package secrets_test

import (
	"testing"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
)

func TestSmoke(t *testing.T) {
	dir := secretstest.Write(t, map[string]string{"A": "x", "B": `{"U":"u","P":"pw"}`}, &secretstest.Options{Kubernetes: true})
	var c struct {
		A secrets.Secret `secret:"A"`
		B struct {
			U string
			P secrets.Secret
		} `secret:"B,json"`
		D string `secret:"D,optional,default=a,b"`
	}
	rep, err := secretstest.Loader(dir).Load(&c)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v %+v", c, rep)
	secretstest.Holds(t, c.B.P, "pw")
	_, err = secrets.Load(&c)
	t.Log(err)
}
