// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"time"

	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/strictjson"
)

// Mode says which checks a worker makes.
type Mode string

// The modes.
const (
	Health Mode = "health" // Check
	Prove  Mode = "prove"  // Check, then Auth if there is one
)

// Job holds the orders for a worker.
type Job struct {
	Mode     Mode              `json:"mode"`
	Port     uint16            `json:"port"`
	UID      uint32            `json:"uid"`            // the gateway's
	PID      int               `json:"pid"`            // if not 0, uids prove nothing and its processes must hold the sockets
	Held     []uint64          `json:"held,omitempty"` // cookies of the listening sockets, if PID 1 has made them
	PIDFD    int               `json:"-"`              // the gateway's pidfd in the worker; 0: there is none
	Check    config.Probe      `json:"check"`
	Auth     *config.AuthCheck `json:"auth,omitempty"`
	Wait     time.Duration     `json:"wait,omitempty"` // for a listener, from the start of the worker
	Deadline time.Duration     `json:"deadline"`       // for the whole job
}

// ParseJob decodes a Job that encoding/json has encoded.
func ParseJob(data []byte) (Job, error) {
	var j Job
	v, err := strictjson.Parse(data)
	if err != nil {
		return j, err
	}
	return j, v.Fields(map[string]strictjson.Take{
		"mode": strictjson.Text(&j.Mode),
		"port": strictjson.Whole(&j.Port),
		"uid":  strictjson.Whole(&j.UID),
		"pid":  strictjson.Whole(&j.PID),
		"held": strictjson.List(&j.Held, strictjson.Whole[uint64]),
		"check": strictjson.Within(map[string]strictjson.Take{
			"path":    strictjson.Text(&j.Check.Path),
			"status":  strictjson.List(&j.Check.Status, strictjson.Whole[int]),
			"json":    strictjson.List(&j.Check.JSON, takeExpect),
			"timeout": strictjson.Whole(&j.Check.Timeout),
		}),
		"auth": func(v *strictjson.Value) bool {
			j.Auth = new(config.AuthCheck)
			return takeAuth(j.Auth)(v)
		},
		"wait":     strictjson.Whole(&j.Wait),
		"deadline": strictjson.Whole(&j.Deadline),
	})
}

func takeExpect(e *config.Expect) strictjson.Take {
	return strictjson.Within(map[string]strictjson.Take{
		"key":   strictjson.Text(&e.Key),
		"value": strictjson.Text(&e.Value),
	})
}

func takeAuth(a *config.AuthCheck) strictjson.Take {
	return strictjson.Within(map[string]strictjson.Take{
		"method":        strictjson.Text(&a.Method),
		"path":          strictjson.Text(&a.Path),
		"body":          strictjson.Text(&a.Body),
		"with_token":    strictjson.List(&a.WithToken, strictjson.Whole[int]),
		"without_token": strictjson.List(&a.WithoutToken, strictjson.Whole[int]),
	})
}
