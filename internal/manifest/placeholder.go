package manifest

import (
	"bytes"
	"regexp"
	"strings"
)

// Example returns the text of secrets/NAME.example: one line that says what
// the value is. Check refuses it as a placeholder.
func (d Declaration) Example() []byte {
	about := []string{d.Name}
	if d.Description != "" {
		about = append(about, oneLine(d.Description))
	}
	if d.Generate != nil {
		about = append(about, "made by mage secrets:generate "+d.Name)
	}
	return []byte("<changeme: " + strings.Join(about, ": ") + ">\n")
}

// oneLine joins a text into one line, without the brackets of a placeholder.
func oneLine(text string) string {
	return strings.NewReplacer("<", "(", ">", ")").Replace(strings.Join(strings.Fields(text), " "))
}

// isPlaceholder reports whether a value is a text that was never replaced by a
// value: that of NAME.example, changeme, <your-key>, xxx, TODO, example, an
// unexpanded ${NAME} and the like. The generate rule's prefix is ignored.
func (d Declaration) isPlaceholder(value []byte) bool {
	const longest = 4096
	if bytes.Equal(bytes.TrimSpace(value), bytes.TrimSpace(d.Example())) {
		return true
	}
	if len(value) > longest {
		return false
	}
	if placeholder(string(value), d.Name) {
		return true
	}
	if d.Generate != nil && d.Generate.Prefix != "" {
		if rest, cut := strings.CutPrefix(string(value), d.Generate.Prefix); cut {
			return rest == "" || placeholder(rest, d.Name)
		}
	}
	return false
}

// placeholder reports whether text alone is a placeholder.
func placeholder(text, name string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	if len(text) > 1 && text[0] == '<' && text[len(text)-1] == '>' && wordsOnly(text[1:len(text)-1]) {
		return true
	}
	if strings.HasPrefix(text, "${") && strings.HasSuffix(text, "}") || text == "$"+strings.ToLower(name) {
		return true
	}
	if len(text) >= 3 && strings.Trim(text, text[:1]) == "" && strings.Contains("x*.-_?#0", text[:1]) {
		return true
	}
	squeezed := plain(text)
	for _, word := range []string{
		"changeme", "changethis", "changeit", "replaceme", "replacethis", "fillme", "fillmein", "fillin",
		"todo", "tbd", "fixme", "placeholder", "example", "sample", "dummy", "insertme", "yourkeyhere", "none", "null", "undefined",
		plain(name),
	} {
		if squeezed == word && word != "" {
			return true
		}
	}
	return strings.Contains(squeezed, "changeme") && len(text) <= 64 || instruction(text)
}

// wordsOnly reports whether the inside of brackets reads as words for a
// person: letters, digits, blanks and light punctuation.
func wordsOnly(text string) bool {
	for _, c := range text {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c > 127
		if !letter && !strings.ContainsRune(" _-.,:;/()'", c) {
			return false
		}
	}
	return text != ""
}

// instruction reports whether text asks a person to put a value there.
func instruction(text string) bool {
	if regexp.MustCompile(`^(your[-_ ]|insert[-_ ]|(put|enter|add|paste)[-_ ]your)`).MatchString(text) {
		return true
	}
	for _, end := range []string{"goeshere", "keyhere", "tokenhere", "valuehere", "passwordhere", "secrethere"} {
		if strings.HasSuffix(plain(text), end) && len(text) <= 64 {
			return true
		}
	}
	return false
}
