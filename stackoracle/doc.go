// Package stackoracle holds keepmum's conversion of stack files against that of
// the docker command, field by field. It has tests only, and is a module of its
// own because the docker command brings 350 packages along. See README.md.
package stackoracle
