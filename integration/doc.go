// Package integration tests keepmum as its users have it: the compiled binary,
// real files, a real engine, the real images.
//
// Without a build tag it runs the transcripts of testdata/script, which need no
// engine. With the tag integration it needs one and starts containers on it;
// what it starts it removes.
package integration
