// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"context"
	"fmt"

	"github.com/gateway-init/gateway-init/gatewayctl/tokenscan"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/users"
)

// Source is the origin of an image: Root, Archive or Saved.
type Source interface {
	read(ctx context.Context, s *layerScan) (*image, error)
	// try runs programs of the image, as far as that is safe.
	try(ctx context.Context, s *inspection) programRuns
}

// Options holds the caller's knowledge of the image.
type Options struct {
	Profile string            // "" for the one that the configuration fits
	Token   *tokenscan.Set    // must be nowhere in the image; nil if none was given
	NonRoot bool              // for containers without root, where every user has gatewayctl
	Sums    map[string]string // "gateway-init", "gatewayctl": the SHA-256 it must have
}

// Run reads the image and makes every check of its profile. It returns an error
// if there is no such profile (*ProfileError), or if the image cannot be read.
func Run(ctx context.Context, src Source, o Options) (Report, error) {
	known, err := LoadProfiles()
	if err != nil {
		return Report{}, err
	}
	sift := newLayerScan(o.Token, known)
	im, err := src.read(ctx, sift)
	if err != nil {
		return Report{}, err
	}
	s := &inspection{image: im, options: o, known: known, traces: sift.traces, leaks: sift.leaks, assigned: sift.assigned, names: sift.text.names}
	s.config, s.configErr = im.configuration()
	if s.profile, err = known.choose(o.Profile, s.config, s.configErr); err != nil {
		return Report{}, err
	}
	s.resolve()
	s.runs = src.try(ctx, s)
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	return s.report(), nil
}

func (s *inspection) report() Report {
	r := Report{Schema: 1, Profile: s.profile.name, OK: true}
	for _, c := range checks() {
		if c.of != nil && !c.of(s.profile) {
			continue
		}
		v := c.make(s)
		done := Check{c.name, v.result, v.detail, v.excused}
		r.OK = r.OK && done.OK()
		r.Checks = append(r.Checks, done)
	}
	return r
}

// inspection is an image that is being checked.
type inspection struct {
	*image
	options Options
	known   Profiles
	profile profile
	traces  []trace
	leaks   []string
	// assigned has the places where variables with the names of secrets get a
	// value. names are further names that were searched for.
	assigned map[string]*places
	names    []string

	config    *config.Config // if nil, configErr says why
	configErr error

	accounts []account
	groups   []group
	problems []string // lines of both files
	filesErr error    // why there are no accounts
	users    [3]users.User
	usersErr error
	runs     programRuns
}

// The indexes of people.
const (
	gateway = iota
	sandbox
	operator
)

func (im *image) configuration() (*config.Config, error) {
	data, err := im.tree.regular(config.DefaultFile)
	if err != nil {
		return nil, err
	}
	if len(data) > config.MaxSize {
		return nil, fmt.Errorf("%s is %d bytes (accepted: at most %d)", config.DefaultFile, len(data), config.MaxSize)
	}
	return config.Parse(data, config.DefaultFile)
}

// resolve looks the three users up as gateway-init will.
func (s *inspection) resolve() {
	passwd, err := s.tree.regular(passwdPath)
	groupFile, err2 := s.tree.regular(groupPath)
	if err == nil {
		err = err2
	}
	if s.filesErr, s.usersErr = err, err; err != nil {
		return
	}
	var bad []string
	s.accounts, s.problems = parsePasswd(passwd)
	s.groups, bad = parseGroup(groupFile)
	s.problems = append(s.problems, bad...)
	if s.usersErr = s.configErr; s.usersErr != nil {
		return
	}
	for i, spec := range []string{s.config.Gateway.User, s.config.SandboxUser, s.config.OperatorUser} {
		s.users[i], err = users.Resolve(spec, bytes.NewReader(passwd), bytes.NewReader(groupFile))
		if err != nil {
			s.usersErr = err
			return
		}
		s.users[i] = s.users[i].With([][]int{s.config.Gateway.Groups, s.config.SandboxGroups, nil}[i])
	}
}
