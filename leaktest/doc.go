// Package leaktest proves in tests with testcontainers that containers never
// tell their secrets.
//
//	func TestNoLeak(t *testing.T) {
//		password := rand.Text()
//		c, err := testcontainers.Run(t.Context(), "shop:test", testcontainers.WithFiles(…))
//		…
//		// let it work, fail and crash; then:
//		leaktest.RequireSilence(t, leaktest.Secrets{"DB_PASSWORD": []byte(password)}, c)
//	}
//
// # What is searched
//
// Of each container the log, both streams over all restarts, and what inspect
// shows: environment, arguments, labels, health log. Of each image its
// configuration, its history, and every file of every layer, deleted ones too.
// Values are searched as they are and in every encoding that logs have been
// seen to hold them in: base64, hex, percent, JSON, HTML, shell and Go quoting,
// and each line of a value of several lines. See package redact.
//
// # Why silence can be believed
//
// A search that finds nothing may be one that cannot find anything. So first a
// canary is planted in the real thing: a container of the same image, with the
// same log driver and its options, tells a random value in every encoding on
// both streams, and holds it in its environment, a label, and a file of an image
// that is made of it. Only when every one of these was found by the search that
// is used for the secrets, silence counts. Where a log cannot be read, an image
// cannot be saved, or a value is too short to be searched, the test fails.
//
// Nothing is needed in the images: no shell, no user, no writable root. Nothing
// is pulled. The canary's program is some two hundred bytes, written by this
// package for amd64 and arm64 engines.
//
// # What it says
//
// The name of the secret, the encoding, the surface and the place. Never the
// value, nor what stands around it.
//
// # What it does not prove
//
// What a container sent over the network or wrote to a volume is not looked at;
// Check's Further takes more texts. A value that was encrypted or compressed in
// a log is not found.
package leaktest
