// Package secrets loads secrets into a program and keeps them from being
// printed. It imports the standard library only.
//
// # One call
//
// Declare what the program needs, call [Load] at the start, and stop if that
// fails:
//
//	var config struct {
//		Password secrets.Secret    `secret:"DB_ADMIN_PASSWORD"`
//		Key      secrets.Secret    `secret:"THE_ODDS_API_KEY,optional"`
//		Server   tls.Certificate   `secret:"SERVER_PEM,pem"`
//		Limits   map[string]int    `secret:"LIMITS,json,optional,default={}"`
//	}
//	report, err := secrets.Load(&config)
//	if err != nil {
//		fmt.Fprintln(os.Stderr, err) // names every missing secret and every place searched
//		os.Exit(3)
//	}
//
// # Where a value comes from
//
// The first of these that has the secret wins:
//
//	docker   /run/secrets/NAME
//	file     ./secrets/NAME
//	env      $NAME, or the file that $NAME_FILE names
//	default  of the tag, only for an optional secret
//
// Absent and unreadable are different things. A source that does not have the
// secret is skipped. A source that has it but cannot return it (a directory
// where a file should be, no permission, a symlink out of the directory, an
// empty file, $NAME and $NAME_FILE both set) is an error: falling through to
// an older value would hide the fault.
//
// If a source after the winner holds a different value, [Report] lists it as a
// [Shadow], by name.
//
// In production mode, KEEPMUM_ENV=production, three sources are refused: $NAME
// (not $NAME_FILE), a default, and a directory configured as a relative path,
// such as ./secrets. Refused means that a secret found there is an error; it
// is not skipped.
//
// A value is 1 to [MaxSize] bytes. Nothing is trimmed unless Loader.Strip is
// set.
//
// # Tags
//
// A tag is `secret:"NAME[,OPTION...]"`. The options:
//
//	optional    an absent secret is not an error; the field is left unchanged
//	default=X   the value if no source has one; comes last, takes the rest of the tag, needs optional
//	json        decode the value into the field, of any type, as encoding/json does
//	pem         decode the value into a *pem.Block, []*pem.Block, *x509.Certificate,
//	            []*x509.Certificate, *x509.CertPool, tls.Certificate, crypto.PrivateKey,
//	            crypto.Signer or a concrete key type; for a string, []byte or Secret the
//	            PEM is only checked
//	prefix      for a nested struct: NAME is prepended to the names of its fields
//
// Without json or pem a field is a [Secret], a string, a []byte, or a pointer
// to one of them. Structs without a tag are searched for tagged fields. Inside
// a json value a field may be a Secret.
//
// A string or a []byte can be printed by accident; a Secret cannot.
//
// # What is promised
//
// No formatting verb, encoder, logger, panic or diff shows the value of a
// Secret, whether it is in a field (exported or not), behind a pointer, in a
// slice, in a map or inside an error. No error of this package holds a value,
// its length or a digest of it: errors of parsers are replaced. Load either
// sets every field or changes nothing.
//
// Not promised: protection against package unsafe, core dumps and debuggers,
// or against what a program does with the result of [Secret.Reveal]. The bytes
// are not wiped from memory.
package secrets
