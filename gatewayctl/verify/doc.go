// SPDX-License-Identifier: Apache-2.0

// Package verify checks that an image is as gateway-init needs it: owners,
// modes, links, users and groups, the image configuration, and that no layer has
// a secret. docs/image.md says what each check is for.
//
// It reads an image as a directory, as the archive that docker save writes, or
// from an engine. A directory is walked by descriptor and no link is followed.
// An archive is read once, as a stream. Names and a few small files stay in
// memory, contents do not. Both are bounded (limits).
//
// An image that two engines would read differently is refused (errReaders). Otherwise
// the checks do not defend against the author of the image. They find mistakes, and
// things that a foreign build step left behind. They do not search for hidden things.
package verify
