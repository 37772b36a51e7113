// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// maxBody bounds what a client may send, in bytes.
const maxBody = 64 << 10

func (g *gateway) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"ok": true, "status": "live"})
	})
	mux.HandleFunc("GET /readyz", g.readyz)
	mux.HandleFunc("POST /tools/invoke", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, map[string]any{"error": "no such tool"})
	})
	mux.HandleFunc("GET /api/whoami", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"uid": os.Getuid(), "pid": os.Getpid(), "start": g.start.UnixNano()})
	})
	mux.HandleFunc("GET /api/env", func(w http.ResponseWriter, _ *http.Request) {
		names := make([]string, 0, len(g.env))
		for _, kv := range g.env {
			name, _, _ := strings.Cut(kv, "=")
			names = append(names, name)
		}
		answer(w, http.StatusOK, names)
	})
	mux.HandleFunc("GET /api/limits", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, g.received)
	})
	mux.HandleFunc("GET /api/counters", func(w http.ResponseWriter, _ *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		answer(w, http.StatusOK, g.counters)
	})
	mux.HandleFunc("POST /api/misbehave", g.misbehave)
	mux.HandleFunc("POST /agent/tool", useTool)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.rude(w, r) {
			return
		}
		if (strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/tools/invoke") && !g.authorised(r) {
			g.givePort(w, givePortRefusal, func() {
				answer(w, http.StatusUnauthorized, map[string]any{"error": "unauthorized"})
			})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (g *gateway) readyz(w http.ResponseWriter, _ *http.Request) {
	m := g.behaviour()
	g.mu.Lock()
	draining := g.draining
	g.mu.Unlock()
	if draining || m.NotReady || time.Since(g.start) < time.Duration(m.ReadyAfter) {
		answer(w, http.StatusServiceUnavailable, map[string]any{"ready": false})
		return
	}
	g.givePort(w, givePortReady, func() { answer(w, http.StatusOK, map[string]any{"ready": true}) })
}

func (g *gateway) authorised(r *http.Request) bool {
	want := g.token
	switch g.behaviour().TokenMode {
	case tokenNone:
		return true
	case tokenOther:
		want = "a-token-of-its-own-configuration"
	}
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

func (g *gateway) misbehave(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	g.mu.Lock()
	g.m.clearDeeds()
	err = g.m.merge(data)
	deeds := g.m
	g.mu.Unlock()
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	g.server.SetKeepAlivesEnabled(!deeds.NoKeepAlive)
	w.Header().Set("Connection", "close") // a deed may close it under us
	answer(w, http.StatusOK, map[string]any{"ok": true})
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	if err := g.do(deeds); err != nil {
		fail(g.stderr, err)
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		code, data = http.StatusInternalServerError, []byte(`{"error":"cannot encode"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n')) // the client may be gone: its affair
}

// rude counts the request and answers it in a bad way if it is told to. The way
// back, POST /api/misbehave, always works for who holds the token.
func (g *gateway) rude(w http.ResponseWriter, r *http.Request) bool {
	probe := r.URL.Path == "/health" || r.URL.Path == "/readyz"
	kind := " without-token"
	if r.Header.Get("Authorization") != "" {
		kind = " with-token"
	}
	g.mu.Lock()
	g.counters[r.URL.Path+kind]++
	m := g.m
	if probe && g.m.FailNext > 0 {
		g.m.FailNext--
	}
	command := r.URL.Path == "/api/misbehave"
	if g.m.After > 0 && !command {
		g.m.After--
	}
	g.mu.Unlock()
	if command {
		return false
	}
	if m.After > 0 {
		m.Accept, m.Answer, m.Status = "", "", 0
	}
	time.Sleep(time.Duration(m.Delay))
	switch {
	case m.Accept == acceptHang:
		<-r.Context().Done()
		return true
	case m.Accept == acceptDrop:
		panic(http.ErrAbortHandler)
	case m.Answer != "":
		g.badAnswer(w, r, m.Answer)
		return true
	case m.Status != 0:
		answer(w, m.Status, map[string]any{"ok": false, "ready": false})
		return true
	case probe && m.FailNext > 0:
		answer(w, http.StatusServiceUnavailable, map[string]any{"ok": false, "ready": false})
		return true
	}
	return false
}

func (g *gateway) badAnswer(w http.ResponseWriter, r *http.Request, how string) {
	switch how {
	case answerPage:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>Welcome</title>\n")
		return
	case answerEndless, answerDrip:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ready":true,"ok":true,"pad":"`)
		flusher := http.NewResponseController(w)
		for flusher.Flush() == nil && r.Context().Err() == nil {
			pad := strings.Repeat("x", 4096)
			if how == answerDrip {
				pad = "x"
				time.Sleep(time.Second)
			}
			if _, err := io.WriteString(w, pad); err != nil {
				return
			}
		}
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if how == answerGarbage {
		_, _ = io.WriteString(conn, "\x00\xff\x16\x03\x01 220 smtp ready\r\n\r\n")
		return
	}
	for _, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"); err == nil; {
		_, err = io.WriteString(conn, "X-Pad: "+strings.Repeat("x", 1024)+"\r\n")
	}
}
