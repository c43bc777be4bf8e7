package main

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func allParameters() []string {
	return []string{"event", "team", "book", "market", "status", "kind", "from", "to", "limit", "after"}
}

func TestReadQueryAcceptsWhatIsDocumented(t *testing.T) {
	t.Parallel()
	position := position{path: "/games", at: time.Date(2026, 1, 10, 0, 30, 0, 5, time.UTC), id: "42"}
	raw := url.Values{
		"event": {"0123456789abcdef"}, "team": {"LA Clippers"}, "book": {"betonlineag"}, "market": {"h2h"}, "status": {"finished"}, "kind": {"steam"},
		"from": {"2026-01-01"}, "to": {"2026-01-31T19:30:00-05:00"}, "limit": {"200"}, "after": {position.String()},
	}.Encode()
	f, problems := readQuery("/games", raw, allParameters())
	if len(problems) != 0 {
		t.Fatalf("refused: %v", problems)
	}
	want := filter{
		event: "0123456789abcdef", team: "Los Angeles Clippers", book: "betonlineag", market: "h2h", status: "finished", kind: "steam",
		from: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), to: time.Date(2026, 2, 1, 0, 30, 0, 0, time.UTC), limit: 200, after: position,
	}
	if f != want {
		t.Errorf("got %+v\nwant %+v", f, want)
	}
	if f, problems := readQuery("/games", "", allParameters()); len(problems) != 0 || f != (filter{limit: defaultLimit}) {
		t.Errorf("an empty query: %+v, %v", f, problems)
	}
}

func TestReadQueryRefuses(t *testing.T) {
	t.Parallel()
	odds := position{path: "/odds", at: time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC), id: "42"}.String()
	for _, c := range []struct{ raw, parameter, says string }{
		{"limit=0", "limit", "1 to 200"},
		{"limit=201", "limit", "1 to 200"},
		{"limit=-1", "limit", "1 to 200"},
		{"limit=%2B5", "limit", "1 to 200"},
		{"limit=007", "limit", "1 to 200"},
		{"limit=1e2", "limit", "1 to 200"},
		{"limit=99999999999999999999", "limit", "1 to 200"},
		{"limit=1&limit=2", "limit", "more than once"},
		{"limit=", "limit", "empty"},
		{"from=2026-02-30", "from", "a day such as"},
		{"from=yesterday", "from", "a day such as"},
		{"from=1999-12-31", "from", "2000"},
		{"to=2100-01-01", "to", "2099"},
		{"to=2026-01-01T00:00:00", "to", "a day such as"},
		{"from=2026-01-02&to=2026-01-01", "to", "later than from"},
		{"from=2026-01-02&to=2026-01-02", "to", "later than from"},
		{"team=celtics", "team", "full name"},
		{"team=Boston+Celtics'--", "team", "full name"},
		{"event='", "event", "event_id"},
		{"event=" + strings.Repeat("a", 65), "event", "event_id"},
		{"book=a%00b", "book", "key of a book"},
		{"book=..%2F", "book", "key of a book"},
		{"market=H2H", "market", "one of h2h"},
		{"status=done", "status", "one of scheduled"},
		{"kind=jump", "kind", "one of move"},
		{"after=!", "after", "next in the page before"},
		{"after=" + odds, "after", "same path"},
		{"after=" + odds + "A", "after", "same path"},
		{"after=" + base64.RawURLEncoding.EncodeToString([]byte("/games 2026-01-10T00:00:00Z 1 2")), "after", "same path"},
		{"after=" + base64.RawURLEncoding.EncodeToString([]byte("/games 2026-01-10T00:00:00.0Z 1")), "after", "same path"},
		{"after=" + base64.RawURLEncoding.EncodeToString([]byte("/games 0001-01-10T00:00:00Z 1")), "after", "same path"},
		{"sort=start", "sort", "not a parameter"},
		{"Limit=1", "(name not shown)", "not a parameter"},
		{"limit=1;team=x", "", "not well-formed"},
		{"limit=%zz", "", "not well-formed"},
		{"event=" + strings.Repeat("a", maxQuery), "", "longer than"},
	} {
		t.Run(c.raw[:min(len(c.raw), 40)], func(t *testing.T) {
			t.Parallel()
			_, problems := readQuery("/games", c.raw, allParameters())
			if len(problems) != 1 {
				t.Fatalf("%d problems, want 1: %v", len(problems), problems)
			}
			if problems[0].Parameter != c.parameter || !strings.Contains(problems[0].Problem, c.says) {
				t.Errorf("got %+v, want %q about %q", problems[0], c.says, c.parameter)
			}
		})
	}
}

func TestReadQueryNamesAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, problems := readQuery("/games", "limit=0&team=x&from=y&to=z&colour=red&kind=k&status=s", []string{"limit", "team", "from", "to", "kind", "status"})
	var names []string
	for _, p := range problems {
		names = append(names, p.Parameter)
	}
	if want := []string{"colour", "from", "kind", "limit", "status", "team", "to"}; !slices.Equal(names, want) {
		t.Errorf("problems with %v, want %v", names, want)
	}
}

// Whatever is sent, no problem repeats a value, and none panics.
func TestReadQueryQuotesNoValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(append(allParameters(), "other")).Draw(t, "name")
		value := "Xq7" + rapid.StringN(5, 40, -1).Draw(t, "value")
		_, problems := readQuery("/games", name+"="+url.QueryEscape(value), allParameters())
		if strings.Contains(fmt.Sprint(problems), value) {
			t.Fatalf("the value of %s is repeated", name)
		}
		if _, problems := readQuery("/games", url.QueryEscape(value)+"=1", allParameters()); strings.Contains(fmt.Sprint(problems), value) {
			t.Fatal("a name that may be a value is repeated")
		}
	})
}

func TestPositionThereAndBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := position{
			path: rapid.SampledFrom([]string{"/games", "/odds"}).Draw(t, "path"),
			at:   time.Unix(rapid.Int64Range(946684800, 4102444799).Draw(t, "second"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC(),
			id:   rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9_.:-]{0,40}`).Draw(t, "id"),
		}
		if got, ok := parsePosition(p.String()); !ok || got != p {
			t.Fatalf("%+v came back as %+v, %v", p, got, ok)
		}
	})
}

func FuzzReadQuery(f *testing.F) {
	f.Add("limit=1&team=Boston+Celtics")
	f.Add("after=L2dhbWVzIDIwMjYtMDEtMTBUMDA6MzA6MDBaIDQy")
	f.Add("a=%zz&;=")
	f.Fuzz(func(t *testing.T, raw string) {
		got, problems := readQuery("/games", raw, allParameters())
		if len(problems) == 0 && (got.limit < 1 || got.limit > maxLimit || len(got.event) > maxName || len(got.book) > maxName) {
			t.Errorf("out of bounds: %+v", got)
		}
	})
}
