// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// imageConfig is the configuration of an image for the engine, which is the OCI
// image configuration with the health check that docker adds.
type imageConfig struct {
	Config struct {
		User                 string
		Entrypoint, Cmd, Env []string
		StopSignal           string
		Healthcheck          *struct{ Test []string }
		Labels               map[string]string
	} `json:"config"`
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	History      []struct {
		CreatedBy string `json:"created_by"`
		Comment   string `json:"comment"`
	} `json:"history"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	texts []string // every string in the document but those of config.Env
}

func parseConfig(text []byte) (*imageConfig, error) {
	c := &imageConfig{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	if inner, ok := all["config"].(map[string]any); ok {
		delete(inner, "Env")
	}
	c.collect(all)
	return c, nil
}

// platform returns the platform that the image is for, as linux/amd64, or "".
func (c *imageConfig) platform() string {
	if c.OS == "" || c.Architecture == "" {
		return ""
	}
	return fmt.Sprintf("%.40s/%.40s", c.OS, c.Architecture)
}

// collect takes the strings of a value. Builders keep copies of the config
// (container_config), and there may be further copies.
func (c *imageConfig) collect(v any) {
	switch v := v.(type) {
	case string:
		c.texts = append(c.texts, v)
	case []any:
		for _, item := range v {
			c.collect(item)
		}
	case map[string]any:
		for key, item := range v {
			if text, ok := item.(string); ok {
				item = key + "=" + text // a label's name is half of its meaning
			}
			c.collect(item)
		}
	}
}

// Files of an archive that say which parts an image has.
const (
	savedManifest = "/manifest.json" // docker's
	ociIndex      = "/index.json"
	ociLayout     = "/oci-layout"
	oldManifest   = "/repositories" // docker's before version 1.10
)

// candidate is an image of an archive. Its parts are members, layers lowest first.
type candidate struct {
	config   string
	layers   []string
	platform string
}

// isSame reports whether two manifests name the same parts.
func (a *archive) isSame(b, c candidate) bool {
	return a.resolve(b.config) == a.resolve(c.config) && slices.EqualFunc(b.layers, c.layers, func(x, y string) bool { return a.resolve(x) == a.resolve(y) })
}

// choose returns the image to check, and the platforms of the other images. docker's
// classic store reads manifest.json, and containerd reads index.json, so both must
// name the same image if both are there.
func (a *archive) choose() (c candidate, others []string, err error) {
	saved, index, old := a.members[savedManifest], a.members[ociIndex], a.members[oldManifest]
	switch {
	case saved == nil && index == nil:
		return c, nil, errors.New("it has neither manifest.json nor index.json: make it with docker save or podman save")
	case saved == nil && old != nil:
		return c, nil, fmt.Errorf("it has repositories and no manifest.json: %w", errReaders)
	case saved != nil:
		if c, err = savedImage(saved); err != nil || index == nil {
			return c, nil, err
		}
	}
	all, err := a.indexed(index)
	if err != nil {
		return c, nil, err
	}
	chosen, others, err := ofThisMachine(all)
	if err == nil && saved != nil && !a.isSame(c, chosen) {
		err = fmt.Errorf("manifest.json and index.json name different images: %w: save one image, of one platform", errReaders)
	}
	return chosen, others, err
}

// savedImage reads docker's manifest, which names members.
func savedImage(m *part) (c candidate, err error) {
	if m.kind != isJSON {
		return c, fmt.Errorf("manifest.json is %s", m.missing())
	}
	var images []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(m.text, &images); err != nil {
		return c, fmt.Errorf("manifest.json: %w", err)
	}
	if len(images) != 1 {
		return c, fmt.Errorf("it has %d images: save one", len(images))
	}
	return candidate{config: images[0].Config, layers: images[0].Layers}, nil
}

// ofThisMachine returns the only image, or the only one that an engine of this machine
// would run, and the platforms of the others.
func ofThisMachine(all []candidate) (chosen candidate, others []string, err error) {
	fit := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return c.platform != runtime.GOOS+"/"+runtime.GOARCH })
	switch {
	case len(all) == 1:
		return all[0], nil, nil
	case len(fit) != 1:
		var names []string
		for _, c := range all {
			names = append(names, cmp.Or(c.platform, "no platform"))
		}
		return chosen, nil, fmt.Errorf("it has %d images (%s): save one, of one platform", len(all), joinFew(names))
	}
	for _, c := range all {
		if c.platform != fit[0].platform {
			others = append(others, cmp.Or(c.platform, "no platform"))
		}
	}
	return fit[0], others, nil
}
