package redact

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"unicode/utf8"
)

// The length limits for short values, in bytes without a trailing line break.
const (
	// shortest is the minimum length that is searched at all.
	shortest = 4
	// anywhere is the minimum length that is masked anywhere. Shorter values
	// are masked only as whole words.
	anywhere = 8
)

// Values longer than blockLimit are searched block by block. So a leaked part
// of one is masked too, and a stream never has to hold back more than one
// encoded block. Blocks overlap, so their union is the value.
const (
	blockLimit   = 2048
	blockSize    = 512
	blockOverlap = 32
)

// fewFormsAbove is the length above which a value is only searched raw, by
// line, and in base64, hex and JSON: the other forms would take hundreds of
// megabytes.
const fewFormsAbove = 16 << 10

// form is one byte string to search for, to find a value.
type form struct {
	text     []byte
	encoding string
	alone    bool // only as a whole word
	wraps    bool // encoders break it into lines
}

// formSet collects the forms of one value, each byte string once.
type formSet struct {
	forms []form
	seen  map[string]bool
	few   bool
	// short: the value is masked only as a whole word, so the forms are the
	// encodings of exactly this value, not of a longer text that contains it.
	short bool
}

func (s *formSet) add(encoding string, text []byte) { s.put(form{text: text, encoding: encoding}) }

func (s *formSet) put(f form) {
	if len(f.text) < shortest || s.seen[string(f.text)] {
		return
	}
	s.seen[string(f.text)] = true
	f.alone, f.wraps = s.short, f.wraps && !s.short
	s.forms = append(s.forms, f)
}

// formsOf returns the forms of a value, or nothing if it is too short.
func formsOf(value []byte) []form {
	text := cutBreak(value)
	if len(text) < shortest || len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	s := &formSet{seen: map[string]bool{}, few: len(text) > fewFormsAbove, short: len(text) < anywhere}
	if s.short {
		s.piece(text, rawEncoding)
	} else {
		s.whole(text, rawEncoding)
	}
	return s.forms
}

// cutBreak removes one line break from the end.
func cutBreak(value []byte) []byte {
	rest, ok := bytes.CutSuffix(value, []byte{'\n'})
	if ok {
		rest, _ = bytes.CutSuffix(rest, []byte{'\r'})
	}
	return rest
}

// whole adds the forms of a value, or of a string inside one: those of the
// whole text or of its blocks, of its lines, and of the strings of a JSON
// document.
func (s *formSet) whole(text []byte, encoding string) {
	for _, block := range blocks(text) {
		s.piece(block, encoding)
	}
	if leaves, ok := jsonLeaves(text); ok {
		for _, leaf := range leaves {
			if leaf = cutBreak(leaf); len(leaf) >= anywhere && len(bytes.TrimSpace(leaf)) > 0 && !bytes.Equal(leaf, text) {
				s.whole(leaf, jsonEncoding)
			}
		}
		return
	}
	for _, part := range parts(text) {
		if len(part) >= anywhere && len(part) < len(text) {
			s.piece(part, encoding)
		}
	}
	if !bytes.ContainsRune(text, '\n') {
		return
	}
	s.add(encoding, bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))) // as terminals do
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) < anywhere || pemBoundary(line) {
			continue
		}
		for _, block := range blocks(line) {
			s.piece(block, lineEncoding)
		}
	}
}

// piece adds a byte string in every encoding.
func (s *formSet) piece(text []byte, encoding string) {
	s.add(encoding, text)
	s.base64(text)
	s.hex(text)
	s.json(text)
	if s.few {
		return
	}
	s.percent(text)
	s.html(text)
	s.shell(text)
	s.golang(text)
}

// blocks splits a long text into overlapping blocks, between characters if it
// is UTF-8. A text of up to blockLimit bytes is one block.
func blocks(text []byte) [][]byte {
	if len(text) <= blockLimit {
		return [][]byte{text}
	}
	var all [][]byte
	for start := 0; ; {
		end := start + blockSize + blockOverlap
		if end+blockOverlap >= len(text) {
			return append(all, text[start:])
		}
		all = append(all, text[start:runeStart(text, end)])
		start = runeStart(text, start+blockSize)
	}
}

// runeStart returns i, or the start of the character that contains byte i.
func runeStart(text []byte, i int) int {
	for back := range utf8.UTFMax {
		if utf8.RuneStart(text[i-back]) {
			return i - back
		}
	}
	return i
}

// pemBoundary reports whether a line is the first, the last or a header line
// of a PEM block. Such lines are the same in every file.
func pemBoundary(line []byte) bool {
	return bytes.HasPrefix(line, []byte("-----BEGIN ")) || bytes.HasPrefix(line, []byte("-----END ")) ||
		bytes.HasPrefix(line, []byte("---- BEGIN ")) || bytes.HasPrefix(line, []byte("---- END ")) ||
		bytes.HasPrefix(line, []byte("Proc-Type: "))
}

// parts returns the password in a value that is a URL or user:password: it
// leaks alone as easily as the whole value.
func parts(text []byte) [][]byte {
	if len(text) > blockLimit {
		return nil
	}
	if scheme, rest, ok := bytes.Cut(text, []byte("://")); ok && allWord(scheme) {
		authority, _, _ := bytes.Cut(rest, []byte("/"))
		at := bytes.LastIndexByte(authority, '@')
		_, password, found := bytes.Cut(authority[:max(at, 0)], []byte(":"))
		if !found {
			return nil
		}
		plain, _ := url.PathUnescape(string(password)) // empty if it is not escaped
		return [][]byte{password, []byte(plain)}
	}
	if user, password, ok := bytes.Cut(text, []byte(":")); ok && allWord(user) && !bytes.HasPrefix(password, []byte("//")) {
		return [][]byte{password}
	}
	return nil
}

// allWord reports whether name consists of characters that are allowed in a URL
// scheme or the name of a database role.
func allWord(name []byte) bool {
	return len(name) > 0 && !slices.ContainsFunc(name, func(c byte) bool { return !isWord(c) && c != '-' && c != '.' && c != '+' })
}

// jsonLeaves returns the strings in a JSON object or array that are not keys,
// and reports whether text is such a document.
func jsonLeaves(text []byte) ([][]byte, bool) {
	start := bytes.TrimLeft(text, " \t\r\n")
	if len(start) == 0 || start[0] != '{' && start[0] != '[' {
		return nil, false
	}
	var document any
	if json.Unmarshal(text, &document) != nil {
		return nil, false
	}
	var leaves [][]byte
	var visit func(any)
	visit = func(v any) {
		switch v := v.(type) {
		case string:
			leaves = append(leaves, []byte(v))
		case []any:
			for _, one := range v {
				visit(one)
			}
		case map[string]any:
			for _, one := range v {
				visit(one)
			}
		}
	}
	visit(document)
	slices.SortFunc(leaves, bytes.Compare)
	return slices.CompactFunc(leaves, bytes.Equal), true
}
