// This file stands in package service of crash variants alone: the test adds it
// by an overlay, with calls of Crash at the places that it tries. The tree has
// nothing of it.

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

// Crash panics if CRASH_AT names the place. What told returns stands on the
// stack, as it is and encoded, and is the panic's text; so is $CRASH_CANARY,
// which the service does not know and so cannot mask.
func Crash(place string, told func() string) {
	if os.Getenv("CRASH_AT") == place {
		fall(3, told(), os.Getenv("CRASH_CANARY"))
	}
}

// CrashRun is Crash for where a service begins to run, in three ways: in Run
// itself, in a goroutine of the kit, and in a goroutine of nobody, whose text
// the runtime prints; that one has the values in its arguments alone.
func CrashRun(kit *Kit, config any) {
	told := func() string {
		text := fmt.Sprintf("%+v", config)
		for _, known := range kit.Secrets.Known() {
			text += " " + strings.Join(everyForm(known.Value.RevealString()), " ")
		}
		return text
	}
	Crash("run", told)
	if os.Getenv("CRASH_AT") == "goroutine" {
		kit.Go("crash", func(context.Context) error { Crash("goroutine", told); return nil })
	}
	switch os.Getenv("CRASH_AT") {
	case "alone":
		go fallAlone(told(), os.Getenv("CRASH_CANARY"))
	case "debug":
		tellConfig(kit, config, told())
	case "midline":
		for { // until it is killed, which is hardly ever between two lines
			kit.Log.Error("a line to be killed in", "canary", os.Getenv("CRASH_CANARY"), "line", strings.Repeat(told()+" ", 1+(1<<20)/len(told())))
		}
	case "memory":
		kit.Log.Error("more and more memory", "canary", os.Getenv("CRASH_CANARY"), "of", told())
		for text := told(); ; text += text { // until the kernel kills it
		}
	}
}

// tellConfig logs the configuration in every way that somebody in search of a
// fault has been seen to: the struct itself, printed, as JSON, by the standard
// library's logger, and copied to a struct that does not protect its values.
func tellConfig(kit *Kit, config any, plain string) {
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

// everyForm is a value as logs have been seen to hold it.
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
	panic("crashed with " + canary + " and a value of which nothing is said" + value[:0])
}
