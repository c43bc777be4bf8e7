package secrets

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// misfit says why no value can be stored in this field, or "" if one can.
func (f field) misfit() string {
	t := f.value.Type()
	switch f.form {
	case formJSON:
		switch t.Kind() {
		case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
			return "json cannot become " + typeName(t)
		}
		return ""
	case formPEM:
		if pemDecoder(t) == nil && !isPlain(t) {
			return "pem cannot become " + typeName(t) + "; see the package comment for the types it can"
		}
		return ""
	}
	if !isPlain(t) {
		return "a value cannot become " + typeName(t) + ": use string, []byte or secrets.Secret, or the option json or pem"
	}
	return ""
}

// typeName names t for a message. An unnamed struct type is not spelled out:
// its string includes the tags, and a tag may hold a default.
func typeName(t reflect.Type) string {
	if text := t.String(); !strings.Contains(text, "struct {") {
		return text
	}
	return "a type of kind " + t.Kind().String()
}

// isPlain reports whether a t takes the bytes as they are.
func isPlain(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t == reflect.TypeFor[Secret]() || t.Kind() == reflect.String ||
		t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// decode converts a value to the type of the field. Errors of the decoders are
// replaced, because they quote their input.
func (f field) decode(value Secret) (reflect.Value, error) {
	t := f.value.Type()
	switch f.form {
	case formJSON:
		made := reflect.New(t)
		if !json.Valid(value.Reveal()) {
			return made, errors.New("the value is not valid json")
		}
		if json.Unmarshal(value.Reveal(), made.Interface()) != nil {
			return made, errors.New("the value is valid json that does not fit " + typeName(t))
		}
		return made.Elem(), nil
	case formPEM:
		blocks, err := pemBlocks(value.Reveal())
		if err != nil {
			return reflect.Value{}, err
		}
		if decode := pemDecoder(t); decode != nil {
			made, err := decode(blocks)
			return reflect.ValueOf(made), err
		}
	}
	return plain(t, value), nil
}

// plain returns a new t with the bytes as they are. A string or []byte is a
// copy, so the program may modify it.
func plain(t reflect.Type, value Secret) reflect.Value {
	if t.Kind() == reflect.Pointer {
		made := reflect.New(t.Elem())
		made.Elem().Set(plain(t.Elem(), value))
		return made
	}
	switch {
	case t == reflect.TypeFor[Secret]():
		return reflect.ValueOf(value)
	case t.Kind() == reflect.String:
		return reflect.ValueOf(string(value.Reveal())).Convert(t)
	}
	return reflect.ValueOf(slices.Clone(value.Reveal())).Convert(t)
}

// pemBlocks decodes all blocks of a PEM file; text around them is allowed,
// because openssl writes some.
func pemBlocks(data []byte) ([]*pem.Block, error) {
	var blocks []*pem.Block
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		blocks = append(blocks, block)
	}
	if len(blocks) == 0 {
		return nil, errors.New("the value is not pem")
	}
	if strings.Contains(string(data), "-----BEGIN ") {
		return nil, errors.New("the value has a pem block that is damaged")
	}
	return blocks, nil
}

// pemDecoder returns the function that converts PEM blocks to a t, or nil if
// there is none.
func pemDecoder(t reflect.Type) func([]*pem.Block) (any, error) {
	switch t {
	case reflect.TypeFor[*pem.Block]():
		return func(b []*pem.Block) (any, error) { return b[0], single(len(b), "pem block") }
	case reflect.TypeFor[[]*pem.Block]():
		return func(b []*pem.Block) (any, error) { return b, nil }
	case reflect.TypeFor[*x509.Certificate]():
		return func(b []*pem.Block) (any, error) {
			all, err := certificates(b)
			if err != nil {
				return nil, err
			}
			return all[0], single(len(all), "certificate")
		}
	case reflect.TypeFor[[]*x509.Certificate]():
		return func(b []*pem.Block) (any, error) { return certificates(b) }
	case reflect.TypeFor[*x509.CertPool]():
		return certPool
	case reflect.TypeFor[tls.Certificate]():
		return keyPair
	}
	for _, key := range []reflect.Type{
		reflect.TypeFor[*rsa.PrivateKey](), reflect.TypeFor[*ecdsa.PrivateKey](),
		reflect.TypeFor[ed25519.PrivateKey](), reflect.TypeFor[*ecdh.PrivateKey](),
	} {
		if key.AssignableTo(t) && !isPlain(t) || key == t {
			return func(b []*pem.Block) (any, error) { return keyFor(t, b) }
		}
	}
	return nil
}

// single returns an error unless n is 1.
func single(n int, what string) error {
	if n != 1 {
		return fmt.Errorf("the value has more than one %s, and the field takes one", what)
	}
	return nil
}

// certificates parses the blocks that are certificates; there must be at least
// one.
func certificates(blocks []*pem.Block) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			continue
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("the value has a pem certificate that cannot be parsed")
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, errors.New("the value is pem without a certificate")
	}
	return all, nil
}

func certPool(blocks []*pem.Block) (any, error) {
	all, err := certificates(blocks)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, one := range all {
		pool.AddCert(one)
	}
	return pool, nil
}

// keyPair builds a tls.Certificate: the leaf first, its chain, and its key.
func keyPair(blocks []*pem.Block) (any, error) {
	chain, err := certificates(blocks)
	if err != nil {
		return nil, err
	}
	key, err := privateKey(blocks)
	if err != nil {
		return nil, err
	}
	pair := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, one := range chain {
		pair.Certificate = append(pair.Certificate, one.Raw)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the value has a private key that cannot sign")
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		return nil, errors.New("the value has a private key that does not belong to its first certificate")
	}
	return pair, nil
}

// keyFor returns the private key among blocks if it is assignable to t.
func keyFor(t reflect.Type, blocks []*pem.Block) (any, error) {
	key, err := privateKey(blocks)
	if err != nil {
		return nil, err
	}
	if !reflect.TypeOf(key).AssignableTo(t) {
		return nil, fmt.Errorf("the value has a private key of type %T, and the field takes %s", key, typeName(t))
	}
	return key, nil
}

// privateKey parses the one private key among blocks: PKCS #8, PKCS #1 or
// SEC 1, not encrypted. Other blocks are ignored.
func privateKey(blocks []*pem.Block) (any, error) {
	var keys []*pem.Block
	for _, block := range blocks {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			keys = append(keys, block)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the value is pem without a private key")
	}
	if err := single(len(keys), "private key"); err != nil {
		return nil, err
	}
	block := keys[0]
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the value has a private key that is encrypted: store it without a passphrase")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, errors.New("the value has a pem private key that cannot be parsed")
}

// secretsIn returns every Secret inside v, the result of a decoder.
func secretsIn(v reflect.Value) []Secret {
	if !v.IsValid() {
		return nil
	}
	var found []Secret
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return secretsIn(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Secret]() {
			if s, ok := v.Interface().(Secret); ok && !s.IsZero() {
				found = append(found, s)
			}
			return found
		}
		for i := range v.NumField() {
			if sf := v.Type().Field(i); sf.IsExported() || sf.Anonymous && sf.Type.Kind() == reflect.Struct {
				found = append(found, secretsIn(v.Field(i))...)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			found = append(found, secretsIn(v.Index(i))...)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			found = append(found, secretsIn(v.MapIndex(key))...)
		}
	}
	return found
}
