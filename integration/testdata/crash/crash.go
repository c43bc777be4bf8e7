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
	if os.Getenv("CRASH_AT") == "alone" {
		go fallAlone(told(), os.Getenv("CRASH_CANARY"))
	}
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
