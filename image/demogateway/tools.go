// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
)

// maxRead bounds what the file tools return of one file, in bytes.
const maxRead = 1 << 20

// toolCall is what the agent asks for. The tools are those of OpenClaw's kind:
// they run in the gateway's process, with the gateway's user, and they do what
// the model asks. They check nothing on purpose, so the kernel alone decides
// what the agent gets through them.
type toolCall struct {
	Tool string `json:"tool"` // "read", "write" or "list"
	Path string `json:"path"`
	Text string `json:"text"` // for write
}

// toolAnswer is the tool's result; Error is the kernel's answer.
type toolAnswer struct {
	Text  string   `json:"text,omitempty"`
	Names []string `json:"names,omitempty"`
	Error string   `json:"error,omitempty"`
}

// useTool answers POST /agent/tool: 200 with the result, 403 with the reason why
// the call failed, 400 if the body is no valid call.
func useTool(w http.ResponseWriter, r *http.Request) {
	var call toolCall
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&call); err != nil {
		answer(w, http.StatusBadRequest, toolAnswer{Error: "cannot read the call: " + err.Error()})
		return
	}
	var result toolAnswer
	var err error
	switch call.Tool {
	case "read":
		result.Text, err = readTool(call.Path)
	case "write":
		err = os.WriteFile(call.Path, []byte(call.Text), 0o600)
	case "list":
		result.Names, err = listTool(call.Path)
	default:
		answer(w, http.StatusBadRequest, toolAnswer{Error: "tool is read, write or list"})
		return
	}
	if err != nil {
		answer(w, http.StatusForbidden, toolAnswer{Error: err.Error()})
		return
	}
	answer(w, http.StatusOK, result)
}

// readTool returns the first bytes of a file. The NUL bytes of files in /proc
// become line feeds, so that the text is JSON that a reader can read.
func readTool(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRead))
	return strings.ReplaceAll(string(data), "\x00", "\n"), err
}

// listTool returns the names in a directory. A symbolic link comes with its
// target, because the links in /proc/PID/fd are what they lead to.
func listTool(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	var names []string
	for _, e := range entries {
		name := e.Name()
		if target, err := os.Readlink(path + "/" + name); err == nil {
			name += " -> " + target
		}
		names = append(names, name)
	}
	return names, err
}
