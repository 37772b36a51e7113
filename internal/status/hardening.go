// SPDX-License-Identifier: Apache-2.0

package status

// Hardening is one missing protection: a name from docs/hardening.md and one
// line that says what it means and which flag brings it.
type Hardening struct {
	Name   string `json:"name"`
	Detail string `json:"detail"`
}

// OpenInChildren is the one name under hardening that is no missing protection, because a
// gateway may not work with what closes it (gateway.confine).
const OpenInChildren = "environment-open-in-children"

// Missing returns the missing protections.
func Missing(all []Hardening) (some []Hardening) {
	for _, h := range all {
		if h.Name != OpenInChildren {
			some = append(some, h)
		}
	}
	return some
}
