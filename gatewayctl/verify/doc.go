// Package verify holds an image against what gateway-init relies on: owners,
// modes, links, users and groups, what the image tells the engine, and that no
// layer has a secret. docs/image.md says what each check is for.
//
// It reads an image as a directory, as the archive that docker save writes, or
// from an engine. A directory is walked by descriptor and no link is followed. An
// archive is read once, as a stream: names and a few small files stay in memory,
// contents do not. Both are bounded (limits).
//
// Not defended: whoever built the image means well. This finds mistakes, and what
// a build step of somebody else left behind; it is no search for hidden things.
package verify
