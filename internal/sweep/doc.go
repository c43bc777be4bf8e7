// Package sweep searches surfaces for known values. A [Surface] is a place
// where a value could appear, such as logs, inspect output, images, file trees
// or the output of a command.
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
// A [Hit] has the name, the encoding, the surface and the place; never the
// value or the text around it. Values are searched for as package redact masks
// them: raw and in every encoding. [Sweep.Unsearched] returns the names of values
// that are too short to be searched for.
//
// # Why a clean result can be trusted
//
// Every surface is read with a canary in it: a random value that is planted
// before or after the content, in the form of the surface (a file in the tree,
// a file in an image's layer, also compressed), and searched for by the same
// code in the same run. A surface is unread if its canary was not found, if it
// could not be read to its end, or if nothing was read although something must
// be there. That is an error of class Incomplete, never a clean result. Before
// that, [New] proves that the canary is found in every encoding, as written by
// the encoders of the standard library and a shell.
//
// This canary cannot prove anything about the way from a program to the
// engine's log. A caller who plants a canary in the real surface, such as a
// container that prints it, adds it to the known values and looks for the hit.
//
// # What it reads
//
// Streams of any length are read in bounded memory. Archives inside them are
// opened: tar and gzip, nested up to four deep. A file in another compression
// format is searched as it is and listed as opaque; in place of an image's
// layer it is an error.
package sweep
