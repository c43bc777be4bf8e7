package service

import (
	"io"
	"log/slog"

	"github.com/keepmum/keepmum/pkg/redact"
)

// newLogger returns a JSON logger whose records are masked twice: as values,
// by the handler, and as the finished line, which also holds what the handler
// cannot know, such as what a marshaller of an attribute wrote.
func newLogger(w io.Writer, matcher *redact.Matcher, level slog.Level) *slog.Logger {
	lines := maskedLines{to: w, matcher: matcher}
	return slog.New(matcher.Handler(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: level})))
}

// maskedLines masks each Write by itself. slog writes one line at a time, so no
// value is spread over two of them, and nothing has to be held back.
type maskedLines struct {
	to      io.Writer
	matcher *redact.Matcher
}

// Write masks and writes line, and reports all of it as written.
func (m maskedLines) Write(line []byte) (int, error) {
	if _, err := m.to.Write(m.matcher.Bytes(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// logLevel reads LOG_LEVEL: debug, info, warn or error. Absent or empty: info.
func logLevel(lookup func(string) (string, bool)) (slog.Level, []problem) {
	levels := map[string]slog.Level{
		"": slog.LevelInfo, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	text, _ := lookup("LOG_LEVEL")
	level, ok := levels[text]
	if !ok {
		return slog.LevelInfo, []problem{{
			name: "LOG_LEVEL", what: "not a log level", next: "set it to debug, info, warn or error",
		}}
	}
	return level, nil
}
