package redact

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"unicode/utf8"
)

// The lengths of the rule for short values, in bytes without a trailing line
// break.
const (
	// shortest is the least length that is searched at all.
	shortest = 4
	// anywhere is the least length that is masked wherever it stands. Shorter
	// values are masked where they stand alone.
	anywhere = 8
)

// Values longer than blockLimit are searched block by block: so a part of one
// that gets out is masked too, and a stream never has to keep back more than
// one encoded block. Blocks overlap, and so their union is the value.
const (
	blockLimit   = 2048
	blockSize    = 512
	blockOverlap = 32
)

// fewFormsAbove is the length above which a value is searched raw, by line, in
// base64, hex and JSON only: the other forms would take hundreds of megabytes.
const fewFormsAbove = 16 << 10

// form is one byte string to search for a value.
type form struct {
	text     []byte
	encoding string
	alone    bool
	wraps    bool // encoders break it into lines
}

// formSet collects the forms of one value, each byte string once.
type formSet struct {
	forms []form
	seen  map[string]bool
	few   bool
}

func (s *formSet) add(encoding string, text []byte) { s.put(form{text: text, encoding: encoding}) }

func (s *formSet) put(f form) {
	if len(f.text) < shortest || s.seen[string(f.text)] {
		return
	}
	s.seen[string(f.text)] = true
	s.forms = append(s.forms, f)
}

// formsOf returns what is searched for a value: nothing if it is too short.
func formsOf(value []byte) []form {
	text := cutBreak(value)
	if len(text) < shortest || len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	s := &formSet{seen: map[string]bool{}, few: len(text) > fewFormsAbove}
	if len(text) < anywhere {
		s.short(text)
		return s.forms
	}
	s.whole(text, rawEncoding)
	return s.forms
}

// cutBreak drops one line break at the end.
func cutBreak(value []byte) []byte {
	if rest, ok := bytes.CutSuffix(value, []byte{'\n'}); ok {
		rest, _ = bytes.CutSuffix(rest, []byte{'\r'})
		return rest
	}
	return value
}

// whole adds the forms of a value, or of a string inside of one: of all of it,
// of its blocks, its lines, and the strings of a JSON document.
func (s *formSet) whole(text []byte, encoding string) {
	if len(text) > blockLimit {
		for _, block := range blocks(text) {
			s.piece(block, encoding)
		}
	} else {
		s.piece(text, encoding)
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
		if len(line) > blockLimit {
			for _, block := range blocks(line) {
				s.piece(block, lineEncoding)
			}
			continue
		}
		s.piece(line, lineEncoding)
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

// short adds the forms of a value that must stand alone: those of all of it
// and nothing around it, in whole encodings.
func (s *formSet) short(text []byte) {
	s.add(rawEncoding, text)
	s.base64Whole(text)
	s.hex(text)
	s.json(text)
	s.percent(text)
	s.html(text)
	s.shell(text)
	s.golang(text)
	for i := range s.forms {
		s.forms[i].alone, s.forms[i].wraps = true, false
	}
}

// blocks cuts a long text into overlapping blocks, between characters where it
// is UTF-8.
func blocks(text []byte) [][]byte {
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

// runeStart returns i, or the beginning of the character that i is inside of.
func runeStart(text []byte, i int) int {
	for back := range utf8.UTFMax {
		if utf8.RuneStart(text[i-back]) {
			return i - back
		}
	}
	return i
}

// pemBoundary tells whether a line begins, ends or heads a PEM block. Such
// lines are the same in everyone's files.
func pemBoundary(line []byte) bool {
	return bytes.HasPrefix(line, []byte("-----BEGIN ")) || bytes.HasPrefix(line, []byte("-----END ")) ||
		bytes.HasPrefix(line, []byte("---- BEGIN ")) || bytes.HasPrefix(line, []byte("---- END ")) ||
		bytes.HasPrefix(line, []byte("Proc-Type: "))
}

// parts returns the password of a value that is a URL or user:password: it
// gets out on its own as easily as the whole.
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
		plain, err := url.PathUnescape(string(password))
		if err != nil {
			return [][]byte{password}
		}
		return [][]byte{password, []byte(plain)}
	}
	if user, password, ok := bytes.Cut(text, []byte(":")); ok && allWord(user) && !bytes.HasPrefix(password, []byte("//")) {
		return [][]byte{password}
	}
	return nil
}

// allWord tells whether name is letters, digits, and what a scheme or the name
// of a role may have besides.
func allWord(name []byte) bool {
	for _, c := range name {
		if !isWord(c) && c != '-' && c != '.' && c != '+' {
			return false
		}
	}
	return len(name) > 0
}

// jsonLeaves returns the strings of a JSON object or array that are no keys,
// and whether text is one.
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
