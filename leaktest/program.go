package leaktest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
)

// The layout of a program: file header, one program header, code, texts, all
// loaded readable and executable at an address that Linux allows.
const (
	headers     = 64 + 56
	loadAddress = 0x400000
)

// program returns a static Linux executable (ELF) that writes a text to each of
// its streams and exits. It needs nothing from its image. A text has at most
// 65535 bytes. The architecture is named as in GOARCH. The layout is that of the
// System V ABI; the system calls are write and exit (x86-64: 1 and 60; arm64: 64
// and 93).
func program(architecture, stdout, stderr string) ([]byte, error) {
	var machine elf.Machine
	var write func(stream, address, size uint32) []byte
	var exit []byte
	switch architecture {
	case "amd64":
		machine, write, exit = elf.EM_X86_64, writeAMD64, []byte{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05} // mov eax, 60; xor edi, edi; syscall
	case "arm64":
		machine, write, exit = elf.EM_AARCH64, writeARM64, words(movz(0, 0), movz(8, 93), svc)
	default:
		return nil, fmt.Errorf("leaktest: the engine's architecture is %s: a canary needs amd64 or arm64", architecture)
	}
	out, texts := uint32(len(stdout)), uint32(loadAddress+headers+2*len(write(1, 0, 0))+len(exit))
	body := slices.Concat(write(1, texts, out), write(2, texts+out, uint32(len(stderr))), exit, []byte(stdout+stderr))
	size := uint64(headers + len(body))
	var file bytes.Buffer
	for _, part := range []any{
		elf.Header64{
			Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
			Entry: loadAddress + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
		},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: loadAddress, Paddr: loadAddress, Filesz: size, Memsz: size, Align: 0x10000},
		body,
	} {
		_ = binary.Write(&file, binary.LittleEndian, part) // writing to a buffer cannot fail
	}
	return file.Bytes(), nil
}

// writeAMD64 is mov eax, 1; mov edi, stream; mov esi, address; mov edx, size;
// syscall.
func writeAMD64(stream, address, size uint32) []byte {
	code := []byte{0xb8, 1, 0, 0, 0, 0xbf, byte(stream), 0, 0, 0, 0xbe}
	code = append(binary.LittleEndian.AppendUint32(code, address), 0xba)
	return append(binary.LittleEndian.AppendUint32(code, size), 0x0f, 0x05)
}

// writeARM64 is movz x0, stream; movz and movk x1, address; movz x2, size;
// movz x8, 64; svc.
func writeARM64(stream, address, size uint32) []byte {
	movk := 0xf2a00000 | address>>16<<5 | 1 // the upper half
	return words(movz(0, stream), movz(1, address&0xffff), movk, movz(2, size), movz(8, 64), svc)
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
