// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/seal"
	"github.com/gateway-init/gateway-init/gatewayctl/verify"
	"github.com/gateway-init/gateway-init/internal/fsafe"
)

func cmdConfigSeal() verb {
	return verb{
		name: "config seal", args: "[--file FILE] [--root DIR]", summary: "empty the token in the gateway's own configuration, and pin it",
		help: `Run it in an image's build, after the step that writes the gateway's
configuration. It sets TOKEN_KEY to "" and changes no other byte. It
removes backups of the file that hold a token. It writes the file's hash to
/etc/gateway-init/seal.json, where verify-image finds it.

  --file FILE  default: OWN_FILE
  --root DIR   the image's files are below DIR (default: /)

Exit code: 0 sealed, 1 failed, 2 usage, 3 refused: not strict JSON, another
MODE_KEY than "MODE_VALUE", or a file that others could have changed.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			known, err := verify.LoadProfiles()
			file := f.String("file", known.OwnConfig("").File, "")
			root := f.String("root", "/", "")
			return func(a *app, _ []string) int {
				if err != nil {
					return a.fail(exitFailed, err, "")
				}
				return a.configSeal(known.OwnConfig(*file), *root, *file)
			}
		},
	}
}

func (a *app) configSeal(own seal.Layout, root, file string) int {
	root, err := filepath.Abs(root)
	if err != nil {
		return a.fail(exitFailed, fmt.Errorf("cannot use --root: %w", err), "")
	}
	done, err := own.Seal(root, file)
	switch {
	case errors.Is(err, fsafe.ErrUnsafe), errors.Is(err, fsafe.ErrTooLarge), errors.As(err, new(*seal.ContentError)):
		return a.fail(exitRefused, err, "correct the file, then seal it again; nothing is sealed now")
	case errors.Is(err, fs.ErrNotExist):
		return a.fail(exitFailed, err, "write the configuration and "+seal.PinFile[:strings.LastIndex(seal.PinFile, "/")]+" into the image first")
	case err != nil:
		return a.fail(exitFailed, err, "")
	}
	return a.write(describeSeal(file, own.Token, done))
}

// describeSeal describes the result of Seal, one line for each part.
func describeSeal(file, key string, done seal.Done) string {
	state := "was empty already"
	if done.Cleared {
		state = "is empty now"
	}
	text := fmt.Sprintf("%s: %s %s\n", file, key, state)
	for _, name := range done.Removed {
		text += "removed " + clean(name) + "\n"
	}
	pinned := "is pinned already"
	if done.Pinned {
		pinned = "is pinned now"
	}
	return text + fmt.Sprintf("sha256 %s %s in %s\n", done.SHA256, pinned, seal.PinFile)
}
