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
// shows: environment, arguments, labels, health log. A container may run, be
// paused, be started again and again, or have ended, and have a terminal. Of
// each image its configuration, its history, and every file of every layer,
// deleted ones too. Values are searched as they are and in every encoding that
// logs have been seen to hold them in: base64, hex, percent, JSON, HTML, shell
// and Go quoting, and each line of a value of several lines. See package redact.
//
// # Why silence can be believed
//
// A search that finds nothing may be one that cannot find anything. So first a
// canary is planted in the real thing: a container of the same image, with the
// same log driver and its options, and a terminal where there is one, tells a
// random value in every encoding on both streams, and holds it in its
// environment, a label, and a file of an image that is made of it. Only when
// every one of these was found by the search that is used for the secrets,
// silence counts. Where a log cannot be read, an image cannot be saved, or a
// value is too short to be searched, the test fails.
//
// Nothing is needed in the images: no shell, no user, no writable root. Nothing
// is pulled. The canary's program is some two hundred bytes, written by this
// package for engines of Linux on amd64 and arm64. A log driver that sends logs
// elsewhere sends the canary there too.
//
// # What is left
//
// Nothing: what a check makes is removed when it ends, however it ends. What a
// run that was killed left has the labels of testcontainers' run, so that Ryuk
// removes it; without Ryuk the next check does that is ten minutes later.
// Checks may run beside each other.
//
// # What it says
//
// The name of the secret, the encoding, the surface and the place. Never the
// value, nor what stands around it: where the name of a container or an error of
// the engine holds it, the name of the secret stands there. Secrets and Check
// can be printed and logged, and tell names alone.
//
// # What it does not prove
//
// What a container sent over the network or wrote to a volume is not looked at,
// nor what was thrown away: by a log driver that keeps the latest lines alone
// (max-size), by a container that was removed. Check's Further takes more texts.
// A value that was encrypted or compressed in a log is not found, nor one that a
// program wrote with cursor movements in between.
package leaktest
