// Package sweep searches surfaces for known values: places where a value could
// show, such as logs, inspect output, images, file trees and our own output.
//
//	s, err := sweep.New(known)
//	report := s.Run(ctx,
//		sweep.Logs(docker, "keepmum-strict-api-1"),
//		sweep.Inspect(docker, "keepmum-strict-api-1"),
//		sweep.Image(docker, "keepmum/strict-api:dev"),
//		sweep.Tree("build context", os.DirFS(root), "secrets"))
//	err = report.Err()
//
// # What a hit says
//
// The name, the encoding, the surface and the place; never the value, nor what
// stands around it. Values are searched as package redact masks them: raw and
// in every encoding. The names of values that are too short to be searched are
// in the report.
//
// # Why silence can be believed
//
// Every surface is read with a canary in it: a random value that is planted in
// front of or behind what is read, in the form of the surface (a file in the
// tree, a file in an image's layer, also compressed), and searched by the same
// code in the same run. A surface in which the canary was not found, that
// failed to be read to its end, or in which nothing was read where something
// must be, is unread: an error of class Incomplete, never silence. Before that,
// New proves that the canary is found in every encoding, as the encoders of
// the standard library and a shell write it.
//
// What goes on between a program and the engine's log this canary cannot
// prove. A caller who plants the canary in the real thing, such as a container
// that prints it, sets Planted: then sweep plants none, and the surface is
// unread unless that one is found.
//
// # What it reads
//
// Streams of any length in bounded memory. Archives are opened where they are
// met: tar and gzip, in each other, four deep. What is compressed otherwise is
// searched as it is, and named as opaque; in the layer of an image it is an
// error.
package sweep
