// The test adds this file to package service of crash variants by an overlay,
// with calls of Crash at the places that it tests. Shipped images do not have it.

package service

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
)

// Crash panics if CRASH_AT names the place. The result of values is on the stack,
// as it is and encoded, and in the message of the panic; so is $CRASH_CANARY,
// which the service does not know and so cannot mask.
func Crash(place string, values func() string) {
	if os.Getenv("CRASH_AT") == place {
		fall(3, values(), os.Getenv("CRASH_CANARY"))
	}
}

// CrashRun is Crash for the start of a service, in three ways: in Run itself, in
// a goroutine of the kit, and in another goroutine, whose panic the runtime
// prints; that one has the values in its arguments only.
func CrashRun(kit *Kit, config any) {
	values := func() string {
		text := fmt.Sprintf("%+v", config)
		for _, known := range kit.Secrets.Known() {
			text += " " + strings.Join(everyForm(known.Value.RevealString()), " ")
		}
		return text
	}
	Crash("run", values)
	if os.Getenv("CRASH_AT") == "goroutine" {
		kit.Go("crash", func(context.Context) error { Crash("goroutine", values); return nil })
	}
	switch os.Getenv("CRASH_AT") {
	case "alone":
		go fallAlone(values(), os.Getenv("CRASH_CANARY"))
	case "debug":
		logConfig(kit, config, values())
	case "midline":
		for { // until it is killed, which is almost never between two lines
			kit.Log.Error("a line to be killed in", "canary", os.Getenv("CRASH_CANARY"), "line", strings.Repeat(values()+" ", 1+(1<<20)/len(values())))
		}
	case "memory":
		kit.Log.Error("more and more memory", "canary", os.Getenv("CRASH_CANARY"), "of", values())
		for text := values(); ; text += text { // until the kernel kills it
		}
	}
}

// logConfig logs the configuration in every way that developers use to find a
// fault: the struct itself, printed, as JSON, by the logger of the standard
// library, and copied to a struct that does not protect its values.
func logConfig(kit *Kit, config any, plain string) {
	inJSON, err := json.Marshal(config)
	unprotected := struct {
		Password string
		Headers  map[string][]string
		Raw      []byte
	}{plain, map[string][]string{"Authorization": {"Bearer " + plain}}, []byte(plain)}
	plainJSON, _ := json.Marshal(unprotected)
	kit.Log.Debug("configuration", "canary", os.Getenv("CRASH_CANARY"), "config", config, "json", string(inJSON), "error", err,
		"printed", fmt.Sprintf("%v %+v %#v %q %s", config, config, config, config, config),
		"unprotected", unprotected, "copied", fmt.Sprintf("%+v %#v", unprotected, unprotected), "plain", string(plainJSON))
	log.Printf("configuration for the standard library: %+v %#v", config, unprotected)
	kit.Log.With("config", unprotected).WithGroup("all").Debug("configuration in a group", "of", unprotected)
}

// everyForm is a value in every form in which logs may hold it.
func everyForm(value string) []string {
	inJSON, _ := json.Marshal(value)
	return []string{
		value, string(inJSON), fmt.Sprintf("%q", value), url.QueryEscape(value), url.PathEscape(value),
		base64.StdEncoding.EncodeToString([]byte(value)), base64.URLEncoding.EncodeToString([]byte("user:" + value)), hex.EncodeToString([]byte(value)),
	}
}

//go:noinline
func fall(depth int, value, canary string) {
	if depth == 0 {
		panic(fmt.Errorf("crashed with %s and %s", value, canary))
	}
	fall(depth-1, value, canary)
}

//go:noinline
func fallAlone(value, canary string) {
	panic("crashed with " + canary + " and a value that is not printed" + value[:0])
}
