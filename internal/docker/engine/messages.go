package engine

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// message is one JSON message of a load or pull.
type message struct {
	Stream string `json:"stream"`
	Status string `json:"status"`
	Error  string `json:"error"`
}

// messages reads a stream of messages to its end. A message that reports an
// error ends it with that error.
func messages(body io.Reader, each func(message)) error {
	decoder := json.NewDecoder(body)
	for {
		var m message
		err := decoder.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, new(*json.SyntaxError)), errors.As(err, new(*json.UnmarshalTypeError)):
			return errors.New("unexpected answer from the engine")
		case err != nil:
			return err
		case m.Error != "":
			return errors.New(m.Error)
		}
		each(m)
	}
}

// report passes on the text of a message line by line.
func (m message) report(progress func(string)) {
	if progress == nil {
		return
	}
	for line := range strings.Lines(m.Stream + m.Status) {
		if line = OneLine(line); line != "" {
			progress(line)
		}
	}
}
