package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/docker/docker/api/types/container"

	"github.com/keepmum/keepmum/internal/docker"
)

// ContainerLogs copies the log of a container, byte for byte, to two writers. It
// never asks for timestamps: the engine puts one into the middle of a line longer
// than 16 KiB, which would hide a value there from a search. A container with a
// terminal has one stream, which goes to stdout.
func (e *Engine) ContainerLogs(ctx context.Context, id string, opt docker.LogOptions, stdout, stderr io.Writer) error {
	doing := "reading the log of " + id
	c, err := e.Container(ctx, id)
	if err != nil {
		return err
	}
	ask := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: opt.Follow}
	if !opt.Since.IsZero() {
		ask.Since = fmt.Sprintf("%d.%09d", opt.Since.Unix(), opt.Since.Nanosecond())
	}
	if opt.Tail > 0 {
		ask.Tail = strconv.Itoa(opt.Tail)
	}
	body, err := e.client.ContainerLogs(ctx, c.ID, ask)
	if err != nil {
		return e.fail(ctx, doing, err)
	}
	defer body.Close()
	return e.fail(ctx, doing, copyLog(body, c.TTY, stdout, stderr))
}

// copyLog copies a log stream; that of a terminal is not split into frames.
func copyLog(body io.Reader, tty bool, stdout, stderr io.Writer) error {
	if !tty {
		return demultiplex(body, stdout, stderr)
	}
	_, err := io.Copy(stdout, body)
	return err
}

// errFrame is the error of a stream that does not consist of frames.
var errFrame = errors.New("unexpected format of the engine's log stream")

// demultiplex separates the engine's frames: a byte for the stream, three zeros,
// four bytes of length, the text. Unlike the client's stdcopy it does not keep a
// frame in memory, and it passes on the beginning of a frame that is cut off and
// reports that.
func demultiplex(r io.Reader, stdout, stderr io.Writer) error {
	var header [8]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		size := int64(binary.BigEndian.Uint32(header[4:]))
		to := stdout
		switch header[0] {
		case 0, 1:
		case 2:
			to = stderr
		case 3:
			text, err := io.ReadAll(io.LimitReader(r, min(size, 1<<12)))
			if err != nil {
				return err
			}
			return errors.New(string(text))
		default:
			return errFrame
		}
		if header[1]|header[2]|header[3] != 0 {
			return errFrame
		}
		if _, err := io.CopyN(to, r, size); err == io.EOF {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
	}
}
