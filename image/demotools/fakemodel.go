// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// A fakemodel is a model endpoint (OpenAI's chat completions) that does what
// the user's message tells it, so that a test decides which tools an agent
// calls. A message may hold these lines:
//
//	CALLS [{"name":"exec","arguments":{"command":"id"}}, ...]   one call a turn
//	HANG SECONDS                                                answer only then
//
// It keeps no state: how far it is follows from the tool results that stand
// behind the message. Its last answer is what the tools returned, as JSON
// between RESULTS and END.
//
// With a file it keeps the body of each request there, one line for each, so
// that a test can say what reached the model.
type fakeModel struct {
	log io.Writer

	mu   sync.Mutex
	kept io.Writer // nil keeps nothing
}

// keep writes the body of a request as one line of JSON.
func (f *fakeModel) keep(body []byte) error {
	if f.kept == nil {
		return nil
	}
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		return fmt.Errorf("cannot keep a request: %w", err)
	}
	line.WriteByte('\n')
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.kept.Write(line.Bytes()); err != nil {
		return fmt.Errorf("cannot keep a request: %w", err)
	}
	return nil
}

// chatRequest is what is read of a request.
type chatRequest struct {
	Model    string        `json:"model"`
	Stream   bool          `json:"stream"`
	Messages []chatMessage `json:"messages"`
	Tools    []struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
}

type chatMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// text is a message's text: a string, or parts that have one.
func (m chatMessage) text() string {
	var whole string
	if json.Unmarshal(m.Content, &whole) == nil {
		return whole
	}
	var parts []struct {
		Text string `json:"text"`
	}
	json.Unmarshal(m.Content, &parts)
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

type fakeCall struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// script is what the last user message wants and how far it is.
type script struct {
	calls   []fakeCall
	hang    time.Duration
	results []string
}

func scriptOf(messages []chatMessage) (s script, _ error) {
	for _, m := range messages {
		switch m.Role {
		case "user":
			next, err := parseScript(m.text())
			if err != nil {
				return s, err
			}
			// A client may add messages of its own; they end nothing.
			if next.calls != nil || next.hang > 0 {
				s = next
			}
		case "tool":
			s.results = append(s.results, m.text())
		}
	}
	return s, nil
}

// parseScript finds the lines wherever the client puts the user's words.
func parseScript(text string) (s script, err error) {
	for line := range strings.Lines(text) {
		// A client quotes what a session was asked, with backslashes: that is no script.
		if _, list, ok := strings.Cut(line, "CALLS "); ok && !strings.HasPrefix(list, `[{\`) {
			// What follows the array (a client's own hints) is not ours.
			if err := json.NewDecoder(strings.NewReader(list)).Decode(&s.calls); err != nil {
				return s, fmt.Errorf("cannot read CALLS: %w", err)
			}
		}
		if _, n, ok := strings.Cut(line, "HANG "); ok {
			if s.hang, err = seconds(strings.TrimSpace(n)); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// answer is the message that comes next: a tool call, or the end.
func (s script) answer() map[string]any {
	if n := len(s.results); n < len(s.calls) {
		c := s.calls[n]
		return map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{map[string]any{
			"index": 0, "id": fmt.Sprintf("call_%d_%d", n, len(s.calls)), "type": "function",
			"function": map[string]any{"name": c.Name, "arguments": string(c.Arguments)},
		}}}
	}
	results, _ := json.Marshal(s.results)
	return map[string]any{"role": "assistant", "content": "RESULTS " + string(results) + " END"}
}

func (f *fakeModel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/models") {
		io.WriteString(w, `{"object":"list","data":[{"id":"fake","object":"model","owned_by":"fake"}]}`)
		return
	}
	var req chatRequest
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err == nil {
		err = f.keep(body)
	}
	if err == nil {
		err = json.Unmarshal(body, &req)
	}
	s, scriptErr := scriptOf(req.Messages)
	if err := errors.Join(err, scriptErr); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	names := make([]string, 0, len(req.Tools))
	for _, t := range req.Tools {
		names = append(names, t.Function.Name)
	}
	fmt.Fprintf(f.log, "turn: %d of %d calls done, hang %v, tools: %s\n", len(s.results), len(s.calls), s.hang, strings.Join(names, " "))
	select {
	case <-time.After(s.hang):
	case <-r.Context().Done():
		return
	}
	message, reason := s.answer(), "stop"
	if message["tool_calls"] != nil {
		reason = "tool_calls"
	}
	send(w, req, message, reason)
}

// send answers whole, or as one chunk of a stream and its end.
func send(w http.ResponseWriter, req chatRequest, message map[string]any, reason string) {
	reply := map[string]any{"id": "fake", "created": time.Now().Unix(), "model": req.Model,
		"usage": map[string]int{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
	if !req.Stream {
		reply["object"] = "chat.completion"
		reply["choices"] = []any{map[string]any{"index": 0, "message": message, "finish_reason": reason}}
		json.NewEncoder(w).Encode(reply)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	reply["object"] = "chat.completion.chunk"
	for _, choice := range []map[string]any{
		{"index": 0, "delta": message, "finish_reason": nil},
		{"index": 0, "delta": map[string]any{}, "finish_reason": reason},
	} {
		reply["choices"] = []any{choice}
		data, _ := json.Marshal(reply)
		fmt.Fprintf(w, "data: %s\n\n", data)
	}
	io.WriteString(w, "data: [DONE]\n\n")
}

func fakemodel(args []string) error {
	f := &fakeModel{log: os.Stdout}
	if len(args) > 1 {
		file, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("cannot keep requests: %w", err)
		}
		f.kept = file
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	return http.Serve(l, f)
}
