// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gateway-init/gateway-init/gatewayctl/tokenscan"
	"github.com/gateway-init/gateway-init/gatewayctl/verify"
)

func cmdVerifyImage() verb {
	return verb{
		name: "verify-image", args: "[FLAGS]", summary: "check that an image is safe for gateway-init", anyone: true,
		help: `Prints one line for each check: ok, FAIL, note or n/a, its name, and the finding.
In a Containerfile: RUN ["/usr/local/bin/gatewayctl", "verify-image"]. On the
host: --image NAME. A program of the image is run only if its hash is given, and
then without rights (docs/image.md).

  --root DIR      the image as a directory (default: /, whose programs are run)
  --image NAME    an image of the engine (docker, or $ENGINE)
  --archive FILE  a file of docker save or podman save; - is stdin
  --profile NAME  PROFILES (default: the configuration decides)
  --token-stdin   also look for this token in every layer
  --expect-sha256 PROGRAM=HEX
                  gateway-init or gatewayctl must be this file, and is run; can be
                  repeated
  --non-root      for containers without root: both programs may be 0755, and the
                  gateway's must be readable
  --json          print one line of JSON

Exit code: 0 every check held, 1 one failed or could not be made, or it was
interrupted, 2 usage, 3 the image cannot be read, or two programs could read it
differently.
`,
		setup: func(f *flag.FlagSet) func(*app, []string) int {
			o := imageArgs{Options: verify.Options{Sums: map[string]string{}}}
			f.StringVar(&o.Profile, "profile", "", "")
			f.Func("root", "", o.source("root"))
			f.Func("image", "", o.source("image"))
			f.Func("archive", "", o.source("archive"))
			f.BoolVar(&o.json, "json", false, "")
			f.BoolVar(&o.token, "token-stdin", false, "")
			f.BoolVar(&o.NonRoot, "non-root", false, "")
			f.Func("expect-sha256", "", o.expect)
			return func(a *app, _ []string) int { return a.verifyImage(o) }
		},
	}
}

// imageArgs are the arguments of verify-image.
type imageArgs struct {
	verify.Options
	kind, value string // the kind of source, and its name
	json, token bool
}

// source takes one of --root, --image and --archive.
func (o *imageArgs) source(kind string) func(string) error {
	return func(value string) error {
		if o.kind != "" {
			return fmt.Errorf("--%s is given beside --%s", kind, o.kind)
		}
		if value == "" {
			return errors.New("it is empty")
		}
		o.kind, o.value = kind, value
		return nil
	}
}

func (o *imageArgs) expect(value string) error {
	name, sum, _ := strings.Cut(value, "=")
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size || name != "gateway-init" && name != "gatewayctl" {
		return errors.New("it is not gateway-init=HEX or gatewayctl=HEX with 64 hex digits")
	}
	o.Sums[name] = strings.ToLower(sum)
	return nil
}

func (a *app) verifyImage(o imageArgs) int {
	if o.token && o.kind == "archive" && o.value == "-" {
		return a.usage(errors.New("--token-stdin and --archive - both read stdin"), "verify-image")
	}
	if o.token {
		var err error
		if o.Token, err = readTokenForms(a.in); err != nil {
			return a.usage(fmt.Errorf("cannot use --token-stdin: %w", err), "verify-image")
		}
	}
	source, done, err := a.imageSource(&o)
	if err != nil {
		return a.fail(exitRefused, err, "")
	}
	defer done()
	ctx, cancel := interruptibleContext()
	defer cancel()
	if !signal.Ignored(syscall.SIGHUP) { // a terminal that is closed must not leave a container
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	report, err := verify.Run(ctx, source, o.Options)
	switch {
	case errors.As(err, new(*verify.ProfileError)):
		return a.usage(err, "verify-image")
	case errors.Is(err, context.Canceled):
		return a.fail(exitFailed, errors.New("cannot check the image: interrupted"), "")
	case err != nil:
		return a.fail(exitRefused, err, "")
	}
	return a.showImage(report, o.json)
}

// readTokenForms reads a token and returns its forms. It clears its buffer.
func readTokenForms(r io.Reader) (*tokenscan.Set, error) {
	const most = 1024
	text, err := io.ReadAll(io.LimitReader(r, most))
	defer clear(text)
	if err != nil {
		return nil, err
	}
	return tokenscan.New(string(bytes.TrimSpace(text)))
}

// imageSource opens the image to read; done closes it.
func (a *app) imageSource(o *imageArgs) (source verify.Source, done func(), err error) {
	done = func() {}
	switch o.kind {
	case "image":
		engine, err := verify.NewEngine(a.env)
		return verify.Saved(engine, o.value), done, err
	case "archive":
		if o.value == "-" {
			return verify.Archive(a.in), done, nil
		}
		f, err := os.Open(o.value)
		if err != nil {
			return nil, done, fmt.Errorf("cannot read archive: %w", err)
		}
		return verify.Archive(f), func() { f.Close() }, nil
	case "root": // any other name of / is an ordinary directory
		if o.value != "/" {
			return verify.Root(o.value), done, nil
		}
	}
	// Inside the image this is one of its two programs, so we know its hash.
	if o.Sums["gatewayctl"] == "" {
		if o.Sums["gatewayctl"], err = ownDigest(); err != nil {
			return nil, done, err
		}
	}
	return verify.Root("/"), done, nil
}

func ownDigest() (string, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("cannot read this program: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("cannot read this program: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (a *app) showImage(r verify.Report, asJSON bool) int {
	var text strings.Builder
	var bad []string
	for _, c := range r.Checks {
		word := map[verify.Result]string{verify.Held: "ok", verify.Failed: "FAIL", verify.NotAvailable: "n/a", verify.Note: "note"}[c.Result]
		fmt.Fprintf(&text, "%-4s  %-14s  %s\n", word, c.Name, clean(c.Detail))
		if !c.OK() {
			bad = append(bad, c.Name)
		}
	}
	if asJSON {
		data, err := json.Marshal(r)
		if err != nil {
			return a.fail(exitFailed, fmt.Errorf("cannot print JSON: %w", err), "")
		}
		text.Reset()
		text.WriteString(escapeControls(data) + "\n")
	}
	if code := a.write(text.String()); code != exitOK || r.OK {
		return code
	}
	return a.fail(exitFailed, fmt.Errorf("cannot accept this image: %d of %d checks: %s", len(bad), len(r.Checks), strings.Join(bad, ", ")),
		"docs/image.md says what each check is for")
}
