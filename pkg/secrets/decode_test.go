package secrets_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keepmum/keepmum/pkg/secrets"
	"github.com/keepmum/keepmum/pkg/secrets/secretstest"
)

// embedded is an unexported type, for an embedded field.
type embedded struct{ Token secrets.Secret }

func TestJSON(t *testing.T) {
	type database struct {
		embedded
		User     string
		Password secrets.Secret
		Replicas []secrets.Secret
		More     map[string]struct{ Key *secrets.Secret }
	}
	var config struct {
		DB     database           `secret:"DB,json"`
		Again  *database          `secret:"DB,json"`
		Port   int                `secret:"PORT,json"`
		List   []string           `secret:"LIST,json"`
		Any    any                `secret:"LIST,json"`
		Raw    json.RawMessage    `secret:"PORT,json"`
		Text   string             `secret:"TEXT,json"`
		Secret secrets.Secret     `secret:"TEXT,json"`
		Def    map[string]float64 `secret:"NONE,json,optional,default={\"a\": 1, \"b\": 2}"`
	}
	report, err := secretstest.Values(map[string]string{
		"DB":   `{"user":"u","password":"pw-1","replicas":["pw-2","pw-3"],"more":{"x":{"key":"pw-4"},"y":{}},"token":"pw-5"}`,
		"PORT": "5432\n", "LIST": `["a","b"]`, "TEXT": `"t\u00e9xt"`,
	}).Load(&config)
	if err != nil {
		t.Fatal(err)
	}
	secretstest.Holds(t, config.DB.Password, "pw-1")
	secretstest.Holds(t, config.DB.Replicas[1], "pw-3")
	secretstest.Holds(t, *config.Again.More["x"].Key, "pw-4")
	secretstest.Holds(t, config.Secret, "téxt")
	if config.Port != 5432 || len(config.List) != 2 || config.Text != "téxt" || config.Def["b"] != 2 || config.DB.User != "u" ||
		string(config.Raw) != "5432" || !reflect.DeepEqual(config.Any, []any{"a", "b"}) {
		t.Errorf("got %+v", config)
	}
	// Each part that is a secret must be known alone, to be masked.
	known := map[string]bool{}
	for _, one := range report.Known() {
		known[one.Name+" "+one.Value.RevealString()] = true
	}
	for _, want := range []string{"DB pw-1", "DB pw-2", "DB pw-3", "DB pw-4", "DB pw-5", "TEXT téxt", "LIST [\"a\",\"b\"]"} {
		if !known[want] {
			t.Errorf("%.4s... is not known", want)
		}
	}
}

// quoting is a type whose decoder quotes its input in the error.
type quoting struct{}

func (*quoting) UnmarshalJSON(data []byte) error { return errors.New("bad input: " + string(data)) }

func TestJSONErrorsAreReplaced(t *testing.T) {
	type target struct {
		N int
		T time.Time
		S secrets.Secret
		Q *quoting
		M map[int]int
	}
	for name, value := range map[string]string{
		"not json": `hunter2`, "cut": `{"N":"hunter2`, "trailing": `{} hunter2`, "number": `{"N":8675309.5}`, "string": `{"N":"hunter2"}`,
		"time": `{"T":"hunter2"}`, "secret": `{"S":8675309}`, "quoting": `{"Q":"hunter2"}`, "key": `{"M":{"hunter2":1}}`, "huge": `{"N":86753098675309867530986753098675309}`,
		"array": `["hunter2"]`, "two": "{}\n{}", "literal": "nul", "control": "{\"N\":\"hunter2\x01\"}", "bom": "\xef\xbb\xbf{}",
	} {
		var config struct {
			A target `secret:"A,json"`
		}
		_, err := secretstest.Values(map[string]string{"A": value}).Load(&config)
		if !errors.Is(err, secrets.ErrInvalid) || !strings.Contains(err.Error(), "A: map: the value is ") {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		for _, part := range []string{"hunter", "86753", "offset", "invalid character", "nul"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error has %q", name, part)
			}
		}
	}
}

// pemOf encodes one block.
func pemOf(kind string, der []byte, err error) string {
	if err != nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// material is a certificate, its key and other keys, in PEM.
type material struct {
	cert, other, ec, ecSEC1, rsa, rsaPKCS1, ed, x25519 string
}

func newMaterial(t testing.TB) material {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	xKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	check(err)
	cert := func(name string, key crypto.Signer) string {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		return pemOf("CERTIFICATE", der, err)
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pemOf("PRIVATE KEY", der, err)
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	return material{
		cert: cert("leaf", ecKey), other: cert("other", edKey),
		ec: pkcs8(ecKey), ecSEC1: pemOf("EC PARAMETERS", []byte{6, 1, 1}, nil) + pemOf("EC PRIVATE KEY", sec1, err),
		rsa: pkcs8(rsaKey), rsaPKCS1: pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil),
		ed: pkcs8(edKey), x25519: pkcs8(xKey),
	}
}

func TestPEM(t *testing.T) {
	m := newMaterial(t)
	values := map[string]string{
		"CERT": "some text\n" + m.cert, "CHAIN": m.cert + m.other, "PAIR": m.ec + m.cert + m.other, "EC": m.ec, "SEC1": m.ecSEC1,
		"RSA": m.rsa, "PKCS1": m.rsaPKCS1, "ED": m.ed, "X": m.x25519, "CRLF": strings.ReplaceAll(m.cert, "\n", "\r\n"),
	}
	var c struct {
		Block  *pem.Block          `secret:"CERT,pem"`
		Blocks []*pem.Block        `secret:"CHAIN,pem"`
		Cert   *x509.Certificate   `secret:"CERT,pem"`
		CRLF   *x509.Certificate   `secret:"CRLF,pem"`
		Chain  []*x509.Certificate `secret:"CHAIN,pem"`
		Pool   *x509.CertPool      `secret:"CHAIN,pem"`
		Pair   tls.Certificate     `secret:"PAIR,pem"`
		EC     *ecdsa.PrivateKey   `secret:"EC,pem"`
		SEC1   crypto.PrivateKey   `secret:"SEC1,pem"`
		RSA    *rsa.PrivateKey     `secret:"RSA,pem"`
		PKCS1  crypto.Signer       `secret:"PKCS1,pem"`
		ED     ed25519.PrivateKey  `secret:"ED,pem"`
		X      *ecdh.PrivateKey    `secret:"X,pem"`
		Any    any                 `secret:"X,pem"`
		Raw    secrets.Secret      `secret:"PAIR,pem"`
		Text   string              `secret:"CERT,pem"`
		Bytes  []byte              `secret:"CERT,pem"`
	}
	if _, err := secretstest.Values(values).Load(&c); err != nil {
		t.Fatal(err)
	}
	if c.Block.Type != "CERTIFICATE" || len(c.Blocks) != 2 || c.Cert.Subject.CommonName != "leaf" || c.Chain[1].Subject.CommonName != "other" ||
		!c.CRLF.Equal(c.Cert) || len(c.Pair.Certificate) != 2 || !bytes.Equal(c.Pair.Certificate[0], c.Cert.Raw) {
		t.Error("a certificate is wrong")
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.Chain[0])
	pool.AddCert(c.Chain[1])
	if !pool.Equal(c.Pool) {
		t.Error("the pool is wrong")
	}
	if !c.EC.PublicKey.Equal(c.Cert.PublicKey) || !c.EC.Equal(c.SEC1) || !c.EC.Equal(c.Pair.PrivateKey) || !c.RSA.Equal(c.PKCS1) ||
		len(c.ED) != ed25519.PrivateKeySize || c.X.Curve() != ecdh.X25519() || !c.X.Equal(c.Any) {
		t.Error("a key is wrong")
	}
	secretstest.Holds(t, c.Raw, values["PAIR"])
	if c.Text != values["CERT"] || string(c.Bytes) != values["CERT"] {
		t.Error("the text was changed")
	}
}

func TestPEMErrors(t *testing.T) {
	m := newMaterial(t)
	cut := m.ec[:len(m.ec)/2]
	body := strings.Split(m.ec, "\n")[1]
	encrypted := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n" + body + "\n-----END RSA PRIVATE KEY-----\n"
	type any4 struct{ cert, chain, key, pair string }
	for name, c := range map[string]struct {
		value string
		want  any4 // for *x509.Certificate, *pem.Block, *ecdsa.PrivateKey, tls.Certificate
	}{
		"not pem":     {"hunter2", any4{"not pem", "not pem", "not pem", "not pem"}},
		"cut":         {cut, any4{"not pem", "not pem", "not pem", "not pem"}},
		"damaged":     {m.cert + cut, any4{"a pem block that is damaged", "a pem block that is damaged", "a pem block that is damaged", "a pem block that is damaged"}},
		"other key":   {m.ed, any4{"pem without a certificate", "", "a private key of type ed25519.PrivateKey, and the field takes *ecdsa.PrivateKey", "pem without a certificate"}},
		"two keys":    {m.cert + m.ec + m.ed, any4{"", "more than one pem block", "more than one private key", "more than one private key"}},
		"two certs":   {m.cert + m.other + m.ec, any4{"more than one certificate", "more than one pem block", "", ""}},
		"wrong pair":  {m.other + m.ec, any4{"", "more than one pem block", "", "does not belong to its first certificate"}},
		"cannot sign": {m.cert + m.x25519, any4{"", "more than one pem block", "of type *ecdh.PrivateKey", "cannot sign"}},
		"no cert":     {m.ec, any4{"pem without a certificate", "", "", "pem without a certificate"}},
		"no key":      {m.cert, any4{"", "", "pem without a private key", "pem without a private key"}},
		"encrypted":   {m.cert + pemOf("ENCRYPTED PRIVATE KEY", []byte("hunter2"), nil), any4{"", "more than one pem block", "is encrypted", "is encrypted"}},
		"legacy":      {m.cert + encrypted, any4{"", "more than one pem block", "is encrypted", "is encrypted"}},
		"bad cert":    {pemOf("CERTIFICATE", []byte("hunter2"), nil), any4{"certificate that cannot be parsed", "", "without a private key", "certificate that cannot be parsed"}},
		"bad key":     {m.cert + pemOf("PRIVATE KEY", []byte("hunter2"), nil), any4{"", "more than one pem block", "private key that cannot be parsed", "private key that cannot be parsed"}},
	} {
		var cert struct {
			A *x509.Certificate `secret:"A,pem"`
		}
		var block struct {
			A *pem.Block `secret:"A,pem"`
		}
		var key struct {
			A *ecdsa.PrivateKey `secret:"A,pem"`
		}
		var pair struct {
			A tls.Certificate `secret:"A,pem"`
		}
		wants := []string{c.want.cert, c.want.chain, c.want.key, c.want.pair}
		for i, dst := range []any{&cert, &block, &key, &pair} {
			_, err := secretstest.Values(map[string]string{"A": c.value}).Load(dst)
			if wants[i] == "" {
				if err != nil {
					t.Errorf("%s, %T: got %v", name, dst, err)
				}
				continue
			}
			if !errors.Is(err, secrets.ErrInvalid) || !strings.Contains(err.Error(), "A: map: the value ") || !strings.Contains(err.Error(), wants[i]) {
				t.Errorf("%s, %T: got %v", name, dst, err)
				continue
			}
			for _, line := range strings.Split(c.value, "\n") {
				if len(line) > 6 && strings.Contains(err.Error(), strings.TrimSpace(line)) {
					t.Errorf("%s, %T: the error quotes the value", name, dst)
				}
			}
		}
	}
}

// TestPEMChecksStrings: the PEM in a string is checked too, and the string stays
// unchanged.
func TestPEMChecksStrings(t *testing.T) {
	var config struct {
		A string `secret:"A,pem"`
	}
	if _, err := secretstest.Values(map[string]string{"A": "no pem"}).Load(&config); !errors.Is(err, secrets.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// FuzzErrorsHoldNoValue loads any value into json and pem fields: no error
// holds a piece of it, and no decoder panics.
func FuzzErrorsHoldNoValue(f *testing.F) {
	m := newMaterial(f)
	for _, seed := range []string{
		`{"n":1}`, `{"n":"hunter2"}`, `[1,2`, `"text"`, m.cert, m.ec, m.ed[:60], "-----BEGIN X-----\n\n-----END X-----\n", "", "\x00", "86753098675309",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		var config struct {
			A struct {
				N int
				T time.Time
				S secrets.Secret
			} `secret:"AAAA,json"`
			B *x509.Certificate `secret:"AAAA,pem"`
			C crypto.PrivateKey `secret:"AAAA,pem"`
			D tls.Certificate   `secret:"AAAA,pem"`
			E []*pem.Block      `secret:"AAAA,pem"`
			F map[string]int    `secret:"AAAA,json"`
		}
		report, err := secretstest.Values(map[string]string{"AAAA": string(value)}).Load(&config)
		if err == nil {
			return
		}
		// A value that consists of words of a message is found in it without a
		// leak, so pieces that occur in messages do not count.
		for i := 0; i+8 <= len(value); i++ {
			piece := string(value[i : i+8])
			if strings.Contains(err.Error(), piece) && !strings.Contains(messages, piece) {
				t.Fatalf("the error holds 8 bytes of the value, from byte %d", i)
			}
		}
		if len(value) > 0 && len(value) <= secrets.MaxSize && len(report.Known()) == 0 {
			t.Error("a value that was found is not among the known values")
		}
	})
}

// messages are the texts that an error may have, whatever the value is.
const messages = `secrets: 1 problem: 2 problems: 3 problems: 4 problems: 5 problems: 6 problems:
  AAAA: map: the value is not valid json
  AAAA: map: the value is valid json that does not fit a type of kind struct
  AAAA: map: the value is valid json that does not fit map[string]int
  AAAA: map: the value is not pem
  AAAA: map: the value is pem without a certificate
  AAAA: map: the value is pem without a private key
  AAAA: map: the value has a pem block that is damaged
  AAAA: map: the value has a pem certificate that cannot be parsed
  AAAA: map: the value has a pem private key that cannot be parsed
  AAAA: map: the value has more than one certificate, and the field takes one
  AAAA: map: the value has more than one private key, and the field takes one
  AAAA: map: the value has a private key that is encrypted: store it without a passphrase
  AAAA: map: is empty
  AAAA: map: is larger than 511999 bytes
`
