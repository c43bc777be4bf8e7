package leaktest

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// output is a text for a stream: 1 is standard output, 2 standard error.
type output struct {
	stream int
	text   string
}

// The layout of a program: file header, one program header, code, texts, all
// loaded readable and executable at an address that Linux allows.
const (
	elfHeader     = 64
	programHeader = 56
	loadAddress   = 0x400000
)

// program returns a static Linux executable (ELF) that writes texts to its
// streams and exits. It needs nothing from its image. The architecture is named
// as in GOARCH. The layout is that of the System V ABI; the system calls are
// write and exit (x86-64: 1 and 60; arm64: 64 and 93).
func program(architecture string, outputs ...output) ([]byte, error) {
	machine, write, exit := uint16(0), (func(stream int, at, size uint32, from uint32) []byte)(nil), []byte(nil)
	switch architecture {
	case "amd64":
		machine, write, exit = 62, writeAMD64, []byte{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05} // mov eax, 60; xor edi, edi; syscall
	case "arm64":
		machine, write, exit = 183, writeARM64, words(movz(0, 0), movz(8, 93), svc)
	default:
		return nil, fmt.Errorf("leaktest: the engine's architecture is %s: a canary needs amd64 or arm64", architecture)
	}
	const start = elfHeader + programHeader
	size := uint32(len(exit))
	for range outputs {
		size += uint32(len(write(1, 0, 0, 0)))
	}
	var code, texts []byte
	for _, one := range outputs {
		if len(one.text) > 0xffff {
			return nil, fmt.Errorf("leaktest: a text of %d bytes is too long", len(one.text))
		}
		at := start + size + uint32(len(texts))
		code = append(code, write(one.stream, at, uint32(len(one.text)), start+uint32(len(code)))...)
		texts = append(texts, one.text...)
	}
	code = append(code, exit...)
	return append(header(machine, uint64(start+len(code)+len(texts))), append(code, texts...)...), nil
}

// header is the file header and the one program header.
func header(machine uint16, size uint64) []byte {
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, field := range []any{
		uint16(2), machine, uint32(1), // an executable, version 1
		uint64(loadAddress + elfHeader + programHeader), uint64(elfHeader), uint64(0), // entry, program headers, no sections
		uint32(0), uint16(elfHeader), uint16(programHeader), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), // load, readable and executable
		uint64(0), uint64(loadAddress), uint64(loadAddress), size, size, uint64(0x10000),
	} {
		_ = binary.Write(&b, binary.LittleEndian, field) // writing to a buffer cannot fail
	}
	return b.Bytes()
}

// writeAMD64 is mov eax, 1; mov edi, stream; mov esi, address; mov edx, size;
// syscall.
func writeAMD64(stream int, at, size, _ uint32) []byte {
	code := []byte{0xb8, 1, 0, 0, 0, 0xbf, byte(stream), 0, 0, 0, 0xbe}
	code = binary.LittleEndian.AppendUint32(code, loadAddress+at)
	code = append(code, 0xba)
	code = binary.LittleEndian.AppendUint32(code, size)
	return append(code, 0x0f, 0x05)
}

// writeARM64 is movz x0, stream; adr x1, text; movz x2, size; movz x8, 64; svc.
func writeARM64(stream int, at, size, from uint32) []byte {
	offset := at - from - 4 // from the adr itself, which comes second
	adr := 0x10000000 | (offset&3)<<29 | (offset>>2&0x7ffff)<<5 | 1
	return words(movz(0, uint32(stream)), adr, movz(2, size), movz(8, 64), svc)
}

const svc = 0xd4000001

// movz is the instruction that sets a register to a number of 16 bits.
func movz(register, number uint32) uint32 { return 0xd2800000 | number<<5 | register }

// words encodes instructions of four bytes.
func words(instructions ...uint32) []byte {
	var code []byte
	for _, one := range instructions {
		code = binary.LittleEndian.AppendUint32(code, one)
	}
	return code
}
