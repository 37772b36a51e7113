// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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
	History []struct {
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

// manifest returns the names of the config and the layers, lowest first.
func (a *archive) manifest() (config string, layers []string, err error) {
	if text, ok := a.texts["/manifest.json"]; ok {
		return savedManifest(text)
	}
	if text, ok := a.texts["/index.json"]; ok {
		return a.ociManifest(text)
	}
	return "", nil, errors.New("it has neither manifest.json nor index.json: make it with docker save or podman save")
}

// savedManifest reads docker's manifest, which names members.
func savedManifest(text []byte) (config string, layers []string, err error) {
	var images []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(text, &images); err != nil {
		return "", nil, fmt.Errorf("manifest.json: %w", err)
	}
	if len(images) != 1 {
		return "", nil, fmt.Errorf("it has %d images: save one", len(images))
	}
	return images[0].Config, images[0].Layers, nil
}

// descriptor names a blob, in an index or a manifest.
type descriptor struct {
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// blob returns the member that has the blob. An invalid digest names no member.
func (d descriptor) blob() string { return "/blobs/" + strings.Replace(d.Digest, ":", "/", 1) }

// ociManifest finds the manifest from index.json, directly or through a further
// index, as in an image for several platforms.
func (a *archive) ociManifest(text []byte) (config string, layers []string, err error) {
	const depth = 3
	for range depth {
		var m struct {
			Manifests []descriptor `json:"manifests"`
			Config    *descriptor  `json:"config"`
			Layers    []descriptor `json:"layers"`
		}
		if err := json.Unmarshal(text, &m); err != nil {
			return "", nil, fmt.Errorf("the manifest: %w", err)
		}
		if m.Config != nil {
			for _, l := range m.Layers {
				layers = append(layers, l.blob())
			}
			return m.Config.blob(), layers, nil
		}
		var images []descriptor
		for _, d := range m.Manifests {
			// A builder's statement of how it built is not an image.
			if d.Annotations["vnd.docker.reference.type"] != "attestation-manifest" {
				images = append(images, d)
			}
		}
		if len(images) != 1 {
			return "", nil, fmt.Errorf("it has %d images: save one, of one platform", len(images))
		}
		var ok bool
		if text, ok = a.texts[images[0].blob()]; !ok {
			return "", nil, fmt.Errorf("the manifest %.80q is missing", images[0].Digest)
		}
	}
	return "", nil, errors.New("its indexes lead nowhere")
}
