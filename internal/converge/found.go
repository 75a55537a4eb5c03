package converge

import "fabgo/transport"

// Found is the state that an answer to Stat or List tells of a file. Resources that probe many files with one question use it.
func Found(p transport.Path, fi transport.FileInfo) Object { return fileObject(FileKey(p), fi) }

// Fits reports whether what was found is what is wanted.
func Fits(want, have Object) bool { return satisfied(want, have) }
