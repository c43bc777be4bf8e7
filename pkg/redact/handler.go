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
// attributes of every kind, and passes them to h. LogValuers are resolved
// first. An attribute of kind Any is rendered, and is replaced by its masked
// renderings if one of them holds a known value; otherwise it is passed on
// unchanged.
//
// If h is one of the built-in handlers, the attribute is rendered as h would
// render it; otherwise as both of them would, and with %+v. Apart from that
// only the attribute's own methods are called: reflection would read a map that
// another goroutine is writing, or one that contains itself, and that ends the
// process without a panic that could be recovered.
//
// Not covered: what h itself adds (time, level, source), and what a ReplaceAttr,
// or a handler that prints %#v, reads by other ways than an attribute's
// methods. A value split across two attributes is not found. If that may
// happen, let h write to a [Writer].
func (m *Matcher) Handler(h slog.Handler) slog.Handler {
	if m.silent() {
		return h
	}
	switch h.(type) {
	case *slog.TextHandler:
		return &handler{m, h, textBelow}
	case *slog.JSONHandler:
		return &handler{m, h, jsonBelow}
	}
	return &handler{m, h, anyBelow}
}

type handler struct {
	m    *Matcher
	next slog.Handler
	kind below
}

// below is the kind of the underlying handler.
type below int

const (
	anyBelow below = iota
	textBelow
	jsonBelow
)

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
	return &handler{h.m, h.next.WithAttrs(h.attrs(attrs)), h.kind}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.m, h.next.WithGroup(h.m.String(name)), h.kind}
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

// value masks a resolved value. It keeps the kind if there is nothing to mask.
func (h *handler) value(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(h.m.String(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(h.attrs(v.Group())...)
	case slog.KindAny:
		return h.any(v)
	case slog.KindTime:
		return h.rendered(v, v.String(), v.Time().Format(time.RFC3339Nano), v.Time().Format("2006-01-02T15:04:05.000Z07:00")) // the last is a TextHandler's
	case slog.KindDuration:
		return h.rendered(v, v.String(), strconv.FormatInt(int64(v.Duration()), 10))
	case slog.KindFloat64:
		asJSON, _ := marshal(v.Float64()) // it cannot write NaN
		return h.rendered(v, v.String(), strconv.FormatFloat(v.Float64(), 'f', -1, 64), string(asJSON))
	default:
		return h.rendered(v, v.String())
	}
}

// rendered masks a value of a simple kind if one of texts, the ways in which a
// handler may write it, holds a known value.
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
	r, instead := render(v.Any(), h.kind)
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

// rendering is the output of the built-in handlers for a value.
type rendering struct {
	text   string
	json   []byte // nil: the value cannot be written as JSON, or no handler does
	bytes  bool   // json is the base64 of text
	others string // why there is no JSON, and the output of handlers that use fmt
}

// Format is used by handlers that use fmt, for every verb.
func (r rendering) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.text)) }

// MarshalText is used by a TextHandler.
func (r rendering) MarshalText() ([]byte, error) { return []byte(r.text), nil }

// MarshalJSON is used by a JSONHandler.
func (r rendering) MarshalJSON() ([]byte, error) { return r.json, nil }

// render returns the renderings of v that the underlying handler may write. If
// a method of v panics, or v contains itself so that fmt would never end, it
// returns a text to log instead, as slog does for a panic.
func render(v any, kind below) (r rendering, instead string) {
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
	own := methods(v)
	if err, ok := v.(error); ok && !own.json {
		r.json, _ = marshal(err.Error()) // a string can always be written
	} else if kind != textBelow || own.json || !own.text {
		r.json, failed = marshal(v)
		if cycle := new(json.UnsupportedValueError); errors.As(failed, &cycle) && strings.HasPrefix(cycle.Str, "encountered a cycle") {
			return r, "!ERROR: " + failed.Error()
		}
	}
	switch {
	case kind != jsonBelow || own.text || isBytes(v):
		r.text = plain(v)
		r.bytes = isBytes(v) && !own.json
	case failed != nil:
		r.text = "!ERROR:" + failed.Error()
	default:
		r.text = string(r.json)
	}
	var others []string
	if failed != nil {
		others = append(others, failed.Error())
	}
	if kind == anyBelow || own.formats {
		others = append(others, fmt.Sprintf("%+v", v))
	}
	if own.inGo {
		others = append(others, fmt.Sprintf("%#v", v))
	}
	r.others = strings.Join(others, "\n")
	return r, ""
}

// ways are the methods that a value has to write itself. If it has one, its
// fields are not read.
type ways struct{ json, text, formats, inGo bool }

func methods(v any) (w ways) {
	_, w.json = v.(json.Marshaler)
	_, w.inGo = v.(fmt.GoStringer)
	switch v.(type) {
	case fmt.Formatter, fmt.Stringer, error:
		w.formats = true
	}
	_, marshals := v.(encoding.TextMarshaler)
	w.text = w.formats || marshals
	return w
}

// plain returns the text that a TextHandler writes.
func plain(v any) string {
	if t, ok := v.(encoding.TextMarshaler); ok {
		text, err := t.MarshalText()
		if err != nil {
			return "!ERROR:" + err.Error()
		}
		return string(text)
	}
	if isBytes(v) {
		return string(reflect.ValueOf(v).Bytes()) // even if it has a String method
	}
	return fmt.Sprintf("%+v", v)
}

// isBytes reports whether a TextHandler writes v as text because it is a slice
// of bytes.
func isBytes(v any) bool {
	t := reflect.TypeOf(v)
	return t != nil && t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
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
