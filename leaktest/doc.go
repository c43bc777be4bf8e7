// Package leaktest proves in tests that containers do not leak their secrets. It
// is made for testcontainers and does not import it.
//
//	func TestNoLeak(t *testing.T) {
//		password := rand.Text()
//		c, err := testcontainers.Run(t.Context(), "shop:test", testcontainers.WithFiles(…))
//		…
//		// Let it work, fail and crash. Then:
//		leaktest.RequireSilence(t, leaktest.Secrets{"DB_PASSWORD": []byte(password)}, c)
//	}
//
// [RequireSilence] is the short form of [Check], which has exceptions, further
// texts and a client of your choice. [Secrets] and [Check] can be printed and
// logged: they show only names.
//
// # What is searched
//
// For each [Container]: its log, both streams over all restarts, and the output
// of inspect with environment, arguments, labels and health log. A container may
// run, be paused, restart again and again or have exited, and may have a
// terminal. For each image: its configuration, its history, and every file of
// every layer, deleted ones too. Values are searched for as they are and in
// every encoding that is known from logs: base64, hex, percent, JSON, HTML, shell
// and Go quoting, and each line of a value of several lines. See package redact.
//
// # Why silence can be believed
//
// A search that finds nothing may be unable to find anything. So first a canary,
// a random value, is planted where a secret could leak: a second container of
// the same image, with the same log driver, log options and terminal setting,
// prints it in every encoding on both streams, and holds it in its environment,
// in a label, and in a file of an image committed from it. Only after the search
// found every one of these does silence about the secrets count. The test fails
// if a log cannot be read, an image cannot be saved, or a value is too short to
// be searched for.
//
// Nothing is needed in the images: no shell, no user, no writable root. Nothing
// is pulled. The canary's program has about two hundred bytes and is generated
// here, for Linux engines on amd64 and arm64. A log driver that sends logs
// elsewhere sends the canary there too.
//
// # Which engine
//
// The containers' IDs decide: it is the first engine that has the first
// container. They are tried in the order of testcontainers: tc.host of
// ~/.testcontainers.properties, DOCKER_HOST, the default socket, docker.host of
// the same file, the rootless sockets; after these the docker command's current
// context. TLS comes from DOCKER_CERT_PATH and DOCKER_TLS_VERIFY, or from
// docker.tls.verify and docker.cert.path of that file. If no engine has the
// container, the check fails and names all that it tried. Set DOCKER_HOST then,
// or Check.Client, as for ssh and for the TLS files of a context.
//
// # What is left behind
//
// Nothing: what a check makes is always removed when it ends. If the run is
// killed, Ryuk removes it with the container under test, because it has the same
// labels of testcontainers. Without Ryuk the first check at least ten minutes
// later does. Checks may run in parallel.
//
// # What a failure shows
//
// The name of the secret, the encoding, the surface and the place; never the
// value or the text around it. If a container's name or an error of the engine
// holds the value, the name of the secret replaces it.
//
// # What it does not prove
//
// What a container sent over the network or wrote to a volume is not searched,
// nor what is gone: lines that a log driver dropped (max-size), containers that
// were removed. Check.Further takes more texts. A value that was encrypted or
// compressed in a log is not found, nor one that a program wrote with cursor
// movements in between.
package leaktest
