package service

import (
	"io"
	"log/slog"

	"github.com/keepmum/keepmum/pkg/redact"
)

// newLogger returns a JSON logger whose records are masked.
func newLogger(w io.Writer, matcher *redact.Matcher, level slog.Level) *slog.Logger {
	return slog.New(matcher.Handler(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})))
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
