// Package integration tests keepmum as its users have it: the compiled binary,
// real files, a real engine, the real images.
//
// Without a build tag it runs the transcripts of testdata/script, which need no
// engine. With the tag integration it needs one and starts containers on it;
// what it starts it removes.
//
// # The stack
//
// TestStack takes a copy of the checkout, with a real .env beside the compose
// file, from secrets:init to the old way, and searches every surface for every
// value on the way. A search counts only where it has found a canary in the
// real thing: a container that logs one in every encoding, an image with one in
// a layer, a row of the database, a file, the environment of our own commands.
// It ends with a line of what was read, planted and found.
//
// Crash variants of the services' images are made of the same sources with
// calls of testdata/crash by an overlay of the go command: what is shipped has
// nothing of them.
//
// Every project has a name that begins with keepmum-it- and a lock that ends
// with its process. What a killed run left, a process that stands by removes at
// once, and where that was killed too, the next run.
package integration
