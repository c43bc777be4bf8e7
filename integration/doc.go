// Package integration tests keepmum as its users run it: the compiled binary, real
// files, a real engine, the real images.
//
// Without a build tag it runs the transcripts of testdata/script, which need no
// engine. With the tag integration it needs one and starts containers on it, which
// it removes.
//
// # The stack
//
// TestStack takes a copy of the checkout, with a real .env next to the compose
// file, from secrets:init to legacy mode, and searches every surface for every
// value on the way. A search counts only if it has found a planted canary: in a
// container that logs one in every encoding, in an image layer, in a row of the
// database, in a file, in the environment of our own commands. At the end the test
// requires minimum counts of surfaces and canaries, so that a search that is no
// longer made is missed, and logs the counts.
//
// Crash variants of the services' images are built from the same sources, with
// calls of testdata/crash added by an overlay of the go command. Shipped images
// have no trace of them.
//
// Every project has a name that begins with keepmum-it- and a lock that ends with
// its process. After a killed run, a reaper process removes what it left at once;
// if that was killed too, the next run does.
package integration
