package sweep

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/keepmum/keepmum/internal/fault"
	"github.com/keepmum/keepmum/pkg/redact"
	"github.com/keepmum/keepmum/pkg/secrets"
)

// CanaryName is the name of the canary. A hit never has it.
const CanaryName = "KEEPMUM_CANARY"

// mostHits is the number of hits kept for one surface; the rest are counted.
const mostHits = 1000

// Sweep searches surfaces for a set of known values. It is immutable and safe
// for concurrent use.
type Sweep struct {
	matcher *redact.Matcher
	canary  string
}

// New returns a Sweep for the known values. It fails if a value has the name of
// the canary, or if the search does not find the canary in each encoding.
func New(known []secrets.Known) (*Sweep, error) { return newWith(known, redact.New) }

// newWith is New with a given search.
func newWith(known []secrets.Known, search func([]secrets.Known) *redact.Matcher) (*Sweep, error) {
	for _, k := range known {
		if k.Name == CanaryName {
			return nil, &fault.Error{Code: fault.Invalid, What: "no secret can have the name " + CanaryName + ": it is the canary's"}
		}
	}
	s := &Sweep{canary: "canary" + rand.Text()}
	canary := secrets.Known{Name: CanaryName, Value: secrets.New([]byte(s.canary))}
	s.matcher = search(append(slices.Clip(known), canary))
	tricky := s.canary + " \"/'<&+é\x01$ " + s.canary + "\na line of " + s.canary
	if err := prove(search([]secrets.Known{{Name: CanaryName, Value: secrets.New([]byte(tricky))}}).Find, tricky); err != nil {
		return nil, err
	}
	return s, nil
}

// Unsearched returns, sorted, the names of the values that are too short to be
// searched for.
func (s *Sweep) Unsearched() []string { return s.matcher.Unmasked() }

// prove checks that the search finds a value of two lines in the output of real
// encoders, and names the right encoding.
func prove(find func([]byte) []redact.Match, value string) error {
	inJSON, err := json.Marshal(value)
	if err != nil {
		return err
	}
	for encoding, text := range map[string]string{
		"raw":     value,
		"line":    value[strings.LastIndexByte(value, '\n')+1:],
		"base64":  base64.StdEncoding.EncodeToString([]byte("p" + value + "\n")),
		"hex":     hex.EncodeToString([]byte(value)),
		"percent": url.QueryEscape(value),
		"json":    string(inJSON),
		"html":    html.EscapeString(value),
		"shell":   "'" + strings.ReplaceAll(value, "'", `'\''`) + "'",
		"go":      strconv.QuoteToASCII(value),
	} {
		if !slices.ContainsFunc(find([]byte(text)), func(m redact.Match) bool { return m.Encoding == encoding }) {
			return &fault.Error{Code: fault.Failed, What: "the search is broken: it does not find the canary in " + encoding}
		}
	}
	return nil
}

// Hit is a value found where it must not be.
type Hit struct {
	Name     string // of the secret
	Encoding string // raw, base64 and so on, of package redact
	Surface  string
	Place    string // the part of the surface: a stream, a file, a file in a layer; "" if it has none
	Line     int    // in the place, from 1
}

// Result is the result of reading one surface.
type Result struct {
	Surface  string
	Hits     []Hit
	More     int      // hits beyond the first thousand
	Bytes    int64    // read, without the canary; includes the content of archives
	Canaries int      // planted, and all found
	Opaque   []string // files in a compression format that is not opened
}

// Unread is a surface that was not read, or not to its end, so it may hold any
// value.
type Unread struct {
	Surface string
	Why     string
}

// Report is the result of a sweep.
type Report struct {
	Results  []Result
	Unread   []Unread
	Hits     int
	Bytes    int64
	Canaries int

	stopped bool
}

// Run reads surfaces one after the other. It continues if one of them cannot be
// read, and stops when the context ends: then the remaining surfaces are
// unread.
func (s *Sweep) Run(ctx context.Context, surfaces ...Surface) Report {
	var report Report
	for _, surface := range surfaces {
		result, err := s.read(ctx, surface)
		if err != nil {
			report.Unread = append(report.Unread, Unread{surface.Name, s.matcher.String(err.Error())})
			report.stopped = report.stopped || errors.Is(ctx.Err(), context.Canceled)
		}
		// Hits found before the failure count.
		if err == nil || len(result.Hits) > 0 {
			report.Results = append(report.Results, result)
		}
		report.Hits += len(result.Hits) + result.More
		report.Bytes += result.Bytes
		report.Canaries += result.Canaries
	}
	return report
}

// read reads one surface. On an error the hits in the result are valid, but
// there may be more in the surface.
func (s *Sweep) read(ctx context.Context, surface Surface) (Result, error) {
	r := &reading{ctx: ctx, sweep: s, seen: map[string]bool{}, result: Result{Surface: s.matcher.String(surface.Name)}}
	err := ctx.Err()
	if err == nil {
		err = surface.read(r)
	}
	if err != nil {
		return r.result, err
	}
	return r.close(surface.empty)
}

// Err returns nil if every surface was read and no value was found. Otherwise
// it returns an *fault.Error with code Leak, Incomplete or Interrupted with a
// finding for each hit and each surface that was not read.
func (r Report) Err() error {
	if len(r.Results)+len(r.Unread) == 0 {
		return &fault.Error{Code: fault.Incomplete, What: "there are no surfaces to read"}
	}
	if r.Hits == 0 && len(r.Unread) == 0 {
		return nil
	}
	e := &fault.Error{Code: fault.Incomplete, What: fmt.Sprintf("%d of %d surfaces could not be read to the end", len(r.Unread), len(r.Results)+len(r.Unread))}
	if r.stopped {
		e.Code, e.What = fault.Interrupted, "the sweep was interrupted"
	}
	if r.Hits > 0 {
		e.What = "found values of secrets in " + fault.Count(r.Hits, "place")
		e.Next = "replace each value above: mage secrets:set NAME; whoever could read the place may know it"
		if !r.stopped {
			e.Code = fault.Leak
		}
	}
	for _, result := range r.Results {
		for _, h := range result.Hits {
			e.Findings = append(e.Findings, fault.Finding{File: h.Surface, Line: h.Line, Subject: h.Name, Problem: h.problem()})
		}
		if result.More > 0 {
			e.Findings = append(e.Findings, fault.Finding{File: result.Surface, Problem: fmt.Sprintf("%d more", result.More)})
		}
	}
	for _, u := range r.Unread {
		e.Findings = append(e.Findings, fault.Finding{File: u.Surface, Problem: "not read: " + u.Why})
	}
	return e
}

func (h Hit) problem() string {
	if h.Place == "" {
		return "found in " + h.Encoding + " form"
	}
	return fmt.Sprintf("found in %s form in %s", h.Encoding, h.Place)
}
