package redact

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Handler returns a slog.Handler that masks messages, keys, group names and
// attributes of every kind, and hands them to h. LogValuers are resolved
// first. A value of kind Any is rendered as both built-in handlers would, and
// is replaced by its masked renderings if either holds a value; otherwise it
// goes on as it is.
//
// What h itself adds (time, level, source) is not looked at. A value that is
// cut over two attributes is not seen: put a Writer below h where that may
// happen.
func (m *Matcher) Handler(h slog.Handler) slog.Handler {
	if m.silent() {
		return h
	}
	return &handler{m, h}
}

type handler struct {
	m    *Matcher
	next slog.Handler
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	masked := slog.NewRecord(record.Time, record.Level, h.m.String(record.Message), record.PC)
	record.Attrs(func(a slog.Attr) bool {
		masked.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, masked)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.m, h.next.WithAttrs(h.attrs(attrs))}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.m, h.next.WithGroup(h.m.String(name))}
}

func (h *handler) attrs(attrs []slog.Attr) []slog.Attr {
	masked := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		masked[i] = h.attr(a)
	}
	return masked
}

func (h *handler) attr(a slog.Attr) slog.Attr {
	return slog.Attr{Key: h.m.String(a.Key), Value: h.value(a.Value.Resolve())}
}

// value masks a resolved value. It keeps the kind where there is nothing to
// mask.
func (h *handler) value(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(h.m.String(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(h.attrs(v.Group())...)
	case slog.KindAny:
		return h.any(v)
	case slog.KindTime:
		return h.rendered(v, v.String(), v.Time().Format(time.RFC3339Nano), v.Time().Format(textTime))
	case slog.KindDuration:
		return h.rendered(v, v.String(), strconv.FormatInt(int64(v.Duration()), 10))
	case slog.KindFloat64:
		asJSON, _ := marshal(v.Float64()) // it cannot write NaN
		return h.rendered(v, v.String(), strconv.FormatFloat(v.Float64(), 'f', -1, 64), string(asJSON))
	default:
		return h.rendered(v, v.String())
	}
}

// textTime is how a TextHandler writes a time.
const textTime = "2006-01-02T15:04:05.000Z07:00"

// rendered masks a value of a simple kind by the texts that a handler may make
// of it.
func (h *handler) rendered(v slog.Value, texts ...string) slog.Value {
	for _, text := range texts {
		if masked := h.m.String(text); masked != text {
			return slog.StringValue(masked)
		}
	}
	return v
}

// any masks a value of kind Any.
func (h *handler) any(v slog.Value) slog.Value {
	r, instead := render(v.Any())
	if instead != "" {
		return slog.StringValue(h.m.String(instead))
	}
	text, asJSON := h.m.String(r.text), h.m.Bytes(r.json)
	if text == r.text && bytes.Equal(asJSON, r.json) && h.m.String(r.others) == r.others {
		return v
	}
	if r.json == nil || r.bytes && text != r.text || !json.Valid(asJSON) {
		asJSON, _ = json.Marshal(text)
	}
	return slog.AnyValue(rendering{text: text, json: asJSON})
}

// rendering is what the built-in handlers make of a value.
type rendering struct {
	text   string
	json   []byte // nil: the value cannot be written as JSON
	bytes  bool   // json is base64 of text, whatever encoding a value has there
	others string // why there is no JSON, and what handlers that use fmt write
}

// Format is what a handler that uses fmt gets, for every verb.
func (r rendering) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.text)) }

// MarshalText is what a TextHandler uses.
func (r rendering) MarshalText() ([]byte, error) { return []byte(r.text), nil }

// MarshalJSON is what a JSONHandler uses.
func (r rendering) MarshalJSON() ([]byte, error) { return r.json, nil }

// render makes the renderings of v, or the text that stands instead of it:
// for a method of v that panics, as slog itself does it, and for a value that
// holds itself, over which fmt would never end.
func render(v any) (r rendering, instead string) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if value := reflect.ValueOf(v); value.Kind() == reflect.Pointer && value.IsNil() {
			r = rendering{} // handlers write <nil> or null, and there is nothing to mask
			return
		}
		instead = fmt.Sprintf("!PANIC: %v", p)
	}()
	var failed error
	_, marshals := v.(json.Marshaler)
	if err, ok := v.(error); ok && !marshals {
		r.json = quoted(err.Error())
	} else {
		r.json, failed = marshal(v)
		if cycle := new(json.UnsupportedValueError); errors.As(failed, &cycle) && strings.HasPrefix(cycle.Str, "encountered a cycle") {
			return r, "!ERROR: " + failed.Error()
		}
	}
	text, isBytes := plain(v)
	r.text, r.bytes = text, isBytes && !marshals
	r.others = fmt.Sprintf("%+v\n%#v", v, v)
	if failed != nil {
		r.others += "\n" + failed.Error()
	}
	return r, ""
}

// plain is the text that a TextHandler writes, and tells whether it is the
// bytes of v.
func plain(v any) (text string, isBytes bool) {
	if t, ok := v.(encoding.TextMarshaler); ok {
		text, err := t.MarshalText()
		if err != nil {
			return "!ERROR:" + err.Error(), false
		}
		return string(text), false
	}
	if t := reflect.TypeOf(v); t != nil && t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return string(reflect.ValueOf(v).Bytes()), true // even if it has a String method
	}
	return fmt.Sprintf("%+v", v), false
}

// marshal writes v as a JSONHandler does: without HTML escapes.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func quoted(text string) []byte {
	b, _ := marshal(text) // a string can always be written
	return b
}
