// SPDX-License-Identifier: Apache-2.0

package status

// Publish is the port on which clients reach the gateway.
type Publish struct {
	Port    uint16   `json:"port"`
	Address string   `json:"address"`           // 127.0.0.1, 0.0.0.0, :: or *
	Listens []string `json:"listens,omitempty"` // addresses at which PID 1's sockets listen
	Cookies []uint64 `json:"cookies,omitempty"` // of these sockets (SO_COOKIE)
	Problem string   `json:"problem,omitempty"` // why PID 1 does not hold the port
	Proven  bool     `json:"proven"`            // clients reach a proven gateway
	Relay   *Child   `json:"relay,omitempty"`   // absent if the gateway has the sockets
}
