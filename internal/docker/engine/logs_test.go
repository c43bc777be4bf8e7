package engine_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/docker/docker/pkg/stdcopy"

	"github.com/keepmum/keepmum/internal/docker/engine"
	"pgregory.net/rapid"
)

// The engine's own writer is the oracle, for whole streams and streams cut
// anywhere.
func TestDemultiplex_ReadsWhatTheEngineWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream, out, errOut bytes.Buffer
		ends := map[int]bool{0: true}
		for _, piece := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 0, 6).Draw(t, "pieces") {
			to, want := stdcopy.Stdout, &out
			if rapid.Bool().Draw(t, "stderr") {
				to, want = stdcopy.Stderr, &errOut
			}
			_, _ = stdcopy.NewStdWriter(&stream, to).Write(piece)
			want.Write(piece)
			ends[stream.Len()] = true
		}
		var gotOut, gotErr bytes.Buffer
		if err := engine.Demultiplex(iotest.OneByteReader(bytes.NewReader(stream.Bytes())), &gotOut, &gotErr); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(gotOut.Bytes(), out.Bytes()) || !bytes.Equal(gotErr.Bytes(), errOut.Bytes()) {
			t.Fatalf("got %q %q, want %q %q", gotOut.Bytes(), gotErr.Bytes(), out.Bytes(), errOut.Bytes())
		}
		at := rapid.IntRange(0, stream.Len()).Draw(t, "cut")
		gotOut.Reset()
		err := engine.Demultiplex(bytes.NewReader(stream.Bytes()[:at]), &gotOut, io.Discard)
		if ends[at] != (err == nil) {
			t.Fatalf("cut at %d of %d: %v", at, stream.Len(), err)
		}
		if !bytes.HasPrefix(out.Bytes(), gotOut.Bytes()) {
			t.Fatalf("cut at %d: %q does not begin %q", at, gotOut.Bytes(), out.Bytes())
		}
	})
}

func TestDemultiplex_Refuses(t *testing.T) {
	frame := func(kind byte, text string) string {
		var b bytes.Buffer
		b.WriteByte(kind)
		b.Write([]byte{0, 0, 0})
		_ = binary.Write(&b, binary.BigEndian, uint32(len(text)))
		return b.String() + text
	}
	for in, says := range map[string]string{
		frame(9, "x"):                      "unexpected format",
		"raw text of a terminal":           "unexpected format",
		frame(3, "the engine's own error"): "the engine's own error",
		"\x01\x07\x00\x00\x00\x00\x00\x00": "unexpected format",
	} {
		if err := engine.Demultiplex(strings.NewReader(in), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", in, err)
		}
	}
	huge := "\x01\x00\x00\x00\xff\xff\xff\xffab"
	var out bytes.Buffer
	if err := engine.Demultiplex(strings.NewReader(huge), &out, io.Discard); err != io.ErrUnexpectedEOF || out.String() != "ab" {
		t.Errorf("%v %q", err, out.String())
	}
}
