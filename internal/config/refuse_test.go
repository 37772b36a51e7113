// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func checkRefused(t *testing.T, text, want string) {
	t.Helper()
	_, err := Parse([]byte(text), "config.json")
	var e *Error
	switch {
	case !errors.As(err, &e):
		t.Errorf("got %v, want %q", err, want)
	case !strings.Contains(err.Error(), want):
		t.Errorf("got %q, want %q", err, want)
	case strings.Contains(err.Error(), "\n"):
		t.Errorf("more than one line: %q", err)
	case e.File != "config.json" || e.Line < 1 || e.Col < 1 || e.Problem == "":
		t.Errorf("incomplete: %#v", e)
	}
}

func TestParseRefusesWithPosition(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty-object":  {`{}`, "config.json:1:1: gateway.command is missing: give the gateway's program and its arguments"},
		"empty-gateway": {"{\n  \"gateway\": {}}", "config.json:2:14: gateway.command is missing"},
		"empty-file":    {"", "config.json:1:1: the text ends where a value should be"},
		"duration": {"{\n \"gateway\": {\n  \"stop\": {\"grace\": \"abc\"}}}",
			`config.json:3:21: gateway.stop.grace: "abc" is not a duration (accepted: 100ms to 1h)`},
		"unknown-key":            {"{\n \"gatway\": {}}", "config.json:2:2: gatway: unknown key"},
		"unknown-inner":          {`{"gateway": {"stop": {"sig": 1}}}`, "config.json:1:23: gateway.stop.sig: unknown key"},
		"unknown-near":           {`{"gateway": {"comand": []}}`, "config.json:1:14: gateway.comand: unknown key: did you mean gateway.command?"},
		"unknown-place":          {`{"gateway": {"port": 8088}}`, "config.json:1:14: gateway.port: unknown key: did you mean gateway.listen.port?"},
		"unknown-no-default":     {`{"gateway": {"with_token": [200]}}`, "gateway.with_token: unknown key: did you mean gateway.auth_check.with_token?"},
		"unknown-top":            {`{"token_env": "T"}`, "config.json:1:2: token_env: unknown key: did you mean gateway.token_env?"},
		"unknown-typo-elsewhere": {`{"gateway": {"time_out": "3s"}}`, "gateway.time_out: unknown key: did you mean gateway.ready.timeout?"},
		"unknown-in-list":        {`{"sidecars": [{"comand": []}]}`, "sidecars[0].comand: unknown key: did you mean sidecars[0].command?"},
		"unknown-far":            {`{"gateway": {"stop": {"frobnicate": 1}}}`, "gateway.stop.frobnicate: unknown key (accepted: signal, grace)"},
		"comment-line":           {"{\n // mine\n}", "config.json:2:2: expected a key in double quotes: JSON has no comments: remove this one"},
		"comment-end":            {`{"log": {} /* mine */}`, "config.json:1:12: expected ',' or '}': JSON has no comments: remove this one"},
		"comment-value":          {`{"log": /* mine */ {}}`, "config.json:1:9: not a JSON value: JSON has no comments: remove this one"},
		"comment-hash":           {"# mine\n{}", "config.json:1:1: not a JSON value: JSON has no comments: remove this one"},
		"comment-after":          {"{}\n// mine", "config.json:2:1: text after the end of the value: JSON has no comments: remove this one"},
		"byte-order-mark":        {"\xef\xbb\xbf{}", "config.json:1:1: not a JSON value: the file begins with a byte order mark: save it as UTF-8 without one"},
		"utf-16":                 {"\xff\xfe{\x00}\x00", "config.json:1:1: not a JSON value: the file is UTF-16: save it as UTF-8"},
		"utf-16-big-endian":      {"\xfe\xff\x00{\x00}", "config.json:1:1: not a JSON value: the file is UTF-16: save it as UTF-8"},
		"variable":               {`{"gateway": {"listen": {"port": ${PORT}}}}`, "config.json:1:33: not a JSON value: no variable is replaced in this file: write its value"},
		"template":               {`{"gateway": {"listen": {{ .Values }}}}`, "config.json:1:25: expected a key in double quotes"},
		"quotes-of-print":        {"{“gateway”: {}}", "config.json:1:2: expected a key in double quotes: these are quotes of print: write straight ones"},
		"no-break-space":         {"{\u00a0\"gateway\": {}}", "config.json:1:2: expected a key in double quotes: a no-break space is here: write a space"},
		"yaml":                   {"gateway:\n  command: [/g]\n", "config.json:1:1: not a JSON value: the file must be JSON, which begins with {"},
		"yaml-list":              {"- a\n", "config.json:1:2:"},
		"python":                 {`{"sandbox": {"evict": True}}`, "config.json:1:23: not a JSON value: JSON has true, false and null, in small letters"},
		"key-without-quotes":     {`{gateway: {}}`, "config.json:1:2: expected a key in double quotes"},
		"duration-without-unit":  {`{"gateway": {"command": ["/g"], "stop": {"grace": "90"}}}`, `"90" is not a duration (accepted: 100ms to 1h): it has no unit: write "90s"`},
		"comma-object":           {"{\"log\": {},\n}", "config.json:2:1: expected a key in double quotes: JSON has no trailing comma: remove the one before this '}'"},
		"comma-list":             {`{"gateway": {"command": ["/g", ]}}`, "config.json:1:32: not a JSON value: JSON has no trailing comma: remove the one before this ']'"},
		"single-quotes":          {`{'log': {}}`, "config.json:1:2: expected a key in double quotes: JSON has no single quotes: write double quotes"},
		"unknown-strange":        {`{"a\nb\u001b[0m": 1}`, `config.json:1:2: "a\nb\x1b[0m": unknown key`},
		"unknown-long":           {`{"` + strings.Repeat("a", 1000) + `": 1}`, `config.json:1:2: "` + strings.Repeat("a", 64) + `": unknown key`},
		"unknown-empty":          {`{"": 1}`, `config.json:1:2: "": unknown key`},
		"duplicate-key":          {"{\"log\": {},\n\"log\": {}}", `config.json:2:1: duplicate key "log"`},
		"trailing-comma":         {`{"log": {},}`, "config.json:1:12: expected a key"},
		"not-an-object":          {`[]`, "config.json:1:1: is an array, not an object"},
		"ready-interval":         {`{"gateway": {"ready": {"interval": "1s"}}}`, "gateway.ready.interval: unknown key"},
		"give-up-early": {`{"gateway": {"command": ["/g"], "ready": {"timeout": "2m", "give_up": "1m"}}}`,
			"config.json:1:71: gateway.ready.give_up: 1m is below gateway.ready.timeout 2m"},
		"backoff-crossed": {`{"gateway": {"command": ["/g"], "restart": {"backoff_min": "31s"}}}`,
			"config.json:1:60: gateway.restart.backoff_min: backoff_min 31s is above backoff_max 30s"},
		"backoff-max-low": {`{"gateway": {"command": ["/g"], "restart": {"backoff_max": "100ms"}}}`,
			"config.json:1:60: gateway.restart.backoff_max: backoff_min 200ms is above backoff_max 100ms"},
	} {
		t.Run(name, func(t *testing.T) { checkRefused(t, c.text, c.want) })
	}
}

// TestParseRefusesUnknownKeys checks that every table refuses an unknown key.
func TestParseRefusesUnknownKeys(t *testing.T) {
	for at, format := range map[string]string{
		"":                    `{%s}`,
		"log.":                `{"log": {%s}}`,
		"sandbox.":            `{"sandbox": {%s}}`,
		"operator.":           `{"operator": {%s}}`,
		"prepare[0].":         `{"prepare": [{%s}]}`,
		"sidecars[0].":        `{"sidecars": [{%s}]}`,
		"gateway.":            `{"gateway": {%s}}`,
		"gateway.listen.":     `{"gateway": {"listen": {%s}}}`,
		"gateway.ready.":      `{"gateway": {"ready": {%s}}}`,
		"gateway.health.":     `{"gateway": {"health": {%s}}}`,
		"gateway.auth_check.": `{"gateway": {"auth_check": {%s}}}`,
		"publish.":            `{"publish": {%s}}`,
		"relay.":              `{"relay": {%s}}`,
		"gateway.stop.":       `{"gateway": {"stop": {%s}}}`,
		"gateway.restart.":    `{"gateway": {"restart": {%s}}}`,
		"gateway.rlimits.":    `{"gateway": {"rlimits": {%s}}}`,
	} {
		checkRefused(t, fmt.Sprintf(format, `"nosuch": 1`), ": "+at+"nosuch: unknown key")
	}
}

// TestParseRefusesGateway checks settings, each within an otherwise good file.
func TestParseRefusesGateway(t *testing.T) {
	long := strings.Repeat("a", 5000)
	for name, c := range map[string]struct{ setting, want string }{
		"port-0":              {`"listen": {"port": 0}`, "gateway.listen.port: 0 is not a whole number in range (accepted: 1 to 65535)"},
		"port-70000":          {`"listen": {"port": 70000}`, "gateway.listen.port: 70000 is not"},
		"port-text":           {`"listen": {"port": "abc"}`, "gateway.listen.port: is a string, not a number (accepted: 1 to 65535)"},
		"port-negative":       {`"listen": {"port": -1}`, "gateway.listen.port: -1 is not"},
		"port-1e30":           {`"listen": {"port": 1e30}`, "gateway.listen.port: 1e30 is not"},
		"port-fraction":       {`"listen": {"port": 80.0}`, "80.0 is not a whole number"},
		"port-null":           {`"listen": {"port": null}`, "is null, not a number"},
		"grace-0":             {`"stop": {"grace": "0"}`, `gateway.stop.grace: "0" is out of range (accepted: 100ms to 1h)`},
		"grace-negative":      {`"stop": {"grace": "-7s"}`, `"-7s" is out of range`},
		"grace-long":          {`"stop": {"grace": "1h1s"}`, `"1h1s" is out of range`},
		"grace-1e30":          {`"stop": {"grace": "1e30s"}`, `"1e30s" is not a duration`},
		"grace-overflow":      {`"stop": {"grace": "99999999999h"}`, "is not a duration"},
		"grace-number":        {`"stop": {"grace": 7}`, "is a number, not a duration in quotes (accepted: 100ms to 1h)"},
		"interval-short":      {`"health": {"interval": "99ms"}`, "gateway.health.interval: \"99ms\" is out of range (accepted: 100ms to 24h)"},
		"timeout-0":           {`"health": {"timeout": "0s"}`, "gateway.health.timeout"},
		"ready-timeout":       {`"ready": {"timeout": "2h"}`, "gateway.ready.timeout"},
		"backoff-0":           {`"restart": {"backoff_min": "0s"}`, "(accepted: 10ms to 1h)"},
		"reset-long":          {`"restart": {"reset_after": "25h"}`, "(accepted: 1s to 24h)"},
		"hold-code":           {`"restart": {"hold_codes": [256]}`, "gateway.restart.hold_codes[0]: 256 is not a whole number in range (accepted: 0 to 255)"},
		"exit-code":           {`"restart": {"exit_texts": {"256": "x"}}`, "gateway.restart.exit_texts.256: is not an exit code (accepted: 0 to 255)"},
		"exit-code-sign":      {`"restart": {"exit_texts": {"-1": "x"}}`, "gateway.restart.exit_texts.-1: is not an exit code"},
		"exit-code-zeros":     {`"restart": {"exit_texts": {"078": "x"}}`, "gateway.restart.exit_texts.078: is not an exit code"},
		"exit-code-word":      {`"restart": {"exit_texts": {"": "x"}}`, `gateway.restart.exit_texts."": is not an exit code`},
		"exit-code-twice":     {`"restart": {"exit_texts": {"7": "x", "7": "y"}}`, `duplicate key "7"`},
		"exit-text-number":    {`"restart": {"exit_texts": {"7": 7}}`, "gateway.restart.exit_texts.7: is a number, not a string"},
		"exit-text-long":      {`"restart": {"exit_texts": {"7": "` + long[:201] + `"}}`, "gateway.restart.exit_texts.7: is 201 bytes long (accepted: at most 200)"},
		"exit-text-newline":   {`"restart": {"exit_texts": {"7": "a\nb"}}`, "gateway.restart.exit_texts.7: \"a\\nb\" holds a control character"},
		"exit-text-bidi":      {`"restart": {"exit_texts": {"7": "\u202eevil"}}`, "holds a character that cannot be printed"},
		"exit-text-c1":        {`"restart": {"exit_texts": {"7": "\u009b31m"}}`, "holds a character that cannot be printed"},
		"exit-texts-list":     {`"restart": {"exit_texts": ["x"]}`, "gateway.restart.exit_texts: is an array, not an object"},
		"exit-texts-many":     {`"restart": {"exit_texts": {` + manyKeys(33) + `}}`, "gateway.restart.exit_texts: has 33 entries (accepted: at most 32)"},
		"command-empty":       {`"command": []`, "gateway.command: does not start with the absolute path"},
		"command-relative":    {`"command": ["node"]`, "gateway.command: does not start with the absolute path"},
		"command-text":        {`"command": "/bin/node"`, `gateway.command: is a string, not an array: write ["/bin/node"]`},
		"command-line":        {`"command": "/bin/node --port 1"`, `write ["/bin/node", "--port", "1"]`},
		"command-line-long":   {`"command": "` + long[:65] + `"`, `write ["WORD", "WORD"]`},
		"command-number":      {`"command": ["/bin/node", 1]`, "gateway.command[1]: is a number, not a string in quotes"},
		"command-nul":         {`"command": ["/bin/node", "a\u0000b"]`, "gateway.command[1]: holds a NUL or a line end"},
		"command-newline":     {`"command": ["/bin/node", "a\nb"]`, "gateway.command[1]: holds a NUL or a line end"},
		"command-long":        {`"command": [` + repeat(`"/a"`, 257) + `]`, "gateway.command: has 257 entries (accepted: at most 256)"},
		"user-empty":          {`"user": ""`, `gateway.user: "" is not a user (accepted: NAME, NAME:GROUP, UID or UID:GID)`},
		"user-no-group":       {`"user": "a:"`, `"a:" is not a user`},
		"user-no-name":        {`"user": ":a"`, `":a" is not a user`},
		"user-three-parts":    {`"user": "a:b:c"`, `"a:b:c" is not a user`},
		"user-space":          {`"user": "a b"`, `"a b" is not a user`},
		"user-newline":        {`"user": "a\n"`, "holds a control character"},
		"user-long":           {`"user": "` + long + `"`, "gateway.user: is 5000 bytes long (accepted: at most 128)"},
		"dir-relative":        {`"working_dir": "tmp"`, `gateway.working_dir: "tmp" is not an absolute path`},
		"dir-unclean":         {`"working_dir": "/tmp/../x"`, "gateway.working_dir"},
		"dir-nul":             {`"working_dir": "/tmp\u0000"`, "holds a control character"},
		"env-name":            {`"env": {"1A": "x"}`, "gateway.env.1A: is not a variable's name"},
		"env-name-strange":    {`"env": {"A=B\n": "x"}`, `gateway.env."A=B\n": is not a variable's name`},
		"env-name-empty":      {`"env": {"": "x"}`, `gateway.env."": is not a variable's name`},
		"env-number":          {`"env": {"A": 1}`, "gateway.env.A: is a number, not a string"},
		"env-nul":             {`"env": {"A": "x\u0000"}`, "gateway.env.A: holds a NUL or a line end"},
		"env-newline":         {`"env": {"A": "x\ry"}`, "gateway.env.A: holds a NUL or a line end"},
		"env-array":           {`"env": ["A=B"]`, "gateway.env: is an array, not an object"},
		"env-many":            {`"env": {` + manyKeys(257) + `}`, "gateway.env: has 257 entries (accepted: at most 256)"},
		"pass-name":           {`"pass_env": ["A-B"]`, `gateway.pass_env[0]: "A-B" is not a variable's name`},
		"pass-loader":         {`"pass_env": ["TZ", "LD_PRELOAD"]`, "gateway.pass_env[1]: LD_PRELOAD changes what a program loads or runs: write it in env"},
		"pass-number":         {`"pass_env": [1]`, "gateway.pass_env[0]: is a number"},
		"token-name":          {`"token_env": ""`, "gateway.token_env"},
		"token-loader":        {`"token_env": "NODE_OPTIONS"`, "gateway.token_env: NODE_OPTIONS changes what a program loads"},
		"token-in-env":        {`"env": {"OPENCLAW_GATEWAY_TOKEN": "x"}`, "gateway.env.OPENCLAW_GATEWAY_TOKEN: is the token's variable"},
		"token-in-pass-env":   {`"token_env": "T", "pass_env": ["T"]`, "gateway.pass_env: names the token's variable T"},
		"path-relative":       {`"health": {"path": "health"}`, `gateway.health.path: "health" is not a request path`},
		"path-empty":          {`"ready": {"path": ""}`, `gateway.ready.path: "" is not a request path`},
		"path-space":          {`"health": {"path": "/a b"}`, "is not a request path"},
		"path-crlf":           {`"health": {"path": "/a\r\nX: y"}`, "gateway.health.path: \"/a\\r\\nX: y\" holds a control character"},
		"path-not-ascii":      {`"health": {"path": "/é"}`, "is not a request path"},
		"status-99":           {`"health": {"status": [200, 99]}`, "gateway.health.status[1]: 99 is not a whole number in range (accepted: 100 to 599)"},
		"status-600":          {`"health": {"status": [600]}`, "600 is not"},
		"status-empty":        {`"health": {"status": []}`, "gateway.health.status: is empty"},
		"status-number":       {`"health": {"status": 200}`, "gateway.health.status: is a number, not an array"},
		"json-nested":         {`"health": {"json": {"a": [1]}}`, "gateway.health.json.a: is an array (accepted: a string, number, true, false or null)"},
		"json-array":          {`"health": {"json": []}`, "gateway.health.json: is an array, not an object"},
		"auth-method":         {`"auth_check": {"method": "PUT"}`, `gateway.auth_check.method: "PUT" is unknown (accepted: GET, POST)`},
		"auth-no-path":        {`"auth_check": {"with_token": [200], "without_token": [401]}`, "gateway.auth_check: path is missing"},
		"auth-no-with":        {`"auth_check": {"path": "/", "without_token": [401]}`, "gateway.auth_check: with_token is missing"},
		"auth-no-without":     {`"auth_check": {"path": "/", "with_token": [200]}`, "gateway.auth_check: without_token is missing"},
		"auth-overlap":        {`"auth_check": {"path": "/", "with_token": [200, 404], "without_token": [404]}`, "status 404 stands in with_token and in without_token"},
		"auth-get-body":       {`"auth_check": {"path": "/", "body": "x", "with_token": [200], "without_token": [401]}`, "has a body, which GET does not send"},
		"auth-body-long":      {`"auth_check": {"body": "` + long + `"}`, "gateway.auth_check.body: is 5000 bytes long (accepted: at most 4096)"},
		"auth-body-newline":   {`"auth_check": {"body": "a\nb"}`, "gateway.auth_check.body: \"a\\nb\" holds a control character"},
		"auth-null":           {`"auth_check": null`, "gateway.auth_check: is null, not an object"},
		"signal-reload":       {`"reload": {"signal": "SIGTERM"}`, `gateway.reload.signal: "SIGTERM" is unknown (accepted: SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH)`},
		"signal-stop":         {`"stop": {"signal": "SIGSTOP"}`, `gateway.stop.signal: "SIGSTOP" is unknown (accepted: SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGKILL, SIGUSR1, SIGUSR2)`},
		"signal-number":       {`"stop": {"signal": 15}`, "gateway.stop.signal: is a number, not a string"},
		"nofile-small":        {`"rlimits": {"nofile": 15}`, "gateway.rlimits.nofile: 15 is not a whole number in range (accepted: 16 to 1048576)"},
		"nofile-large":        {`"rlimits": {"nofile": 1048577}`, "gateway.rlimits.nofile"},
		"nofile-beyond-64":    {`"rlimits": {"nofile": 99999999999999999999}`, "gateway.rlimits.nofile"},
		"status-many":         {`"health": {"status": [` + repeat("200", 33) + `]}`, "has 33 entries (accepted: at most 32)"},
		"json-expected-many":  {`"health": {"json": {` + manyKeys(33) + `}}`, "gateway.health.json: has 33 entries"},
		"number-cut-in-error": {`"listen": {"port": ` + strings.Repeat("9", 5000) + `}`, strings.Repeat("9", 32) + " is not"},
	} {
		t.Run(name, func(t *testing.T) {
			command := `"command": ["/bin/gateway"], `
			if strings.HasPrefix(name, "command-") {
				command = ""
			}
			checkRefused(t, `{"gateway": {`+command+c.setting+`}}`, c.want)
		})
	}
}

func TestParseRefusesTheRest(t *testing.T) {
	for name, c := range map[string]struct{ setting, want string }{
		"runtime-relative":   {`"runtime_dir": "run"`, "runtime_dir: \"run\" is not an absolute path"},
		"runtime-root":       {`"runtime_dir": "/"`, `runtime_dir: "/" cannot hold files`},
		"runtime-proc":       {`"runtime_dir": "/proc/x"`, `runtime_dir: "/proc/x" cannot hold files`},
		"runtime-sys":        {`"runtime_dir": "/sys"`, `runtime_dir: "/sys" cannot hold files`},
		"tmpfs-text":         {`"require_tmpfs": "yes"`, "require_tmpfs: is a string, not a boolean"},
		"log-format":         {`"log": {"format": "xml"}`, `log.format: "xml" is unknown (accepted: json, text)`},
		"command-start":      {`"command_start": "later"`, `command_start: "later" is unknown (accepted: after-gateway, immediate)`},
		"sandbox-user":       {`"sandbox": {"user": 0}`, "sandbox.user: is a number, not a string"},
		"operator-text":      {`"operator": "op"`, "operator: is a string, not an object"},
		"operator-token":     {`"operator": {"env": {"OPENCLAW_GATEWAY_TOKEN": "x"}}`, "operator.env.OPENCLAW_GATEWAY_TOKEN: is the token's variable"},
		"operator-pass":      {`"operator": {"pass_env": ["OPENCLAW_GATEWAY_TOKEN"]}`, "operator.pass_env: names the token's variable"},
		"operator-loader":    {`"operator": {"pass_env": ["LD_PRELOAD"]}`, "operator.pass_env[0]: LD_PRELOAD changes what a program loads"},
		"clients-list":       {`"clients": []`, "clients: is an array, not an object"},
		"client-text":        {`"clients": {"tui": "/bin/tui"}`, "clients.tui: is a string, not an array"},
		"client-relative":    {`"clients": {"tui": ["tui"]}`, "clients.tui: does not start with the absolute path"},
		"client-empty":       {`"clients": {"tui": []}`, "clients.tui: does not start with the absolute path"},
		"client-upper":       {`"clients": {"Tui": ["/t"]}`, "clients.Tui: is no name for a client (accepted: 1 to 32 of a-z, 0-9 and -)"},
		"client-no-name":     {`"clients": {"": ["/t"]}`, `clients."": is no name for a client`},
		"client-long":        {`"clients": {"` + strings.Repeat("a", 33) + `": ["/t"]}`, "is no name for a client"},
		"client-twice":       {`"clients": {"a": ["/t"], "a": ["/t"]}`, `"a"`},
		"clients-many":       {`"clients": {` + strings.ReplaceAll(manyKeys(33), `""`, `["/t"]`) + `}`, "clients: has 33 entries (accepted: at most 32)"},
		"prepare-object":     {`"prepare": {}`, "prepare: is an object, not an array"},
		"prepare-no-path":    {`"prepare": [{"mode": "0700"}]`, "prepare[0]: path is missing"},
		"prepare-root":       {`"prepare": [{"path": "/"}]`, "prepare[0]: path is /"},
		"prepare-type":       {`"prepare": [{"path": "/a", "type": "file"}]`, `prepare[0].type: "file" is unknown (accepted: directory)`},
		"prepare-mode-1777":  {`"prepare": [{"path": "/a", "mode": "1777"}]`, `prepare[0].mode: "1777" is not a mode (accepted: "0000" to "0755"`},
		"prepare-mode-0777":  {`"prepare": [{"path": "/a", "mode": "0777"}]`, "is not a mode"},
		"prepare-mode-0720":  {`"prepare": [{"path": "/a", "mode": "0720"}]`, "is not a mode"},
		"prepare-mode-short": {`"prepare": [{"path": "/a", "mode": "700"}]`, "is not a mode"},
		"prepare-mode-9":     {`"prepare": [{"path": "/a", "mode": "0790"}]`, "is not a mode"},
		"prepare-mode-sign":  {`"prepare": [{"path": "/a", "mode": "+700"}]`, "is not a mode"},
		"prepare-mode-num":   {`"prepare": [{"path": "/a", "mode": 700}]`, "prepare[0].mode: is a number, not a string"},
		"prepare-many":       {`"prepare": [` + repeat(`{"path": "/a"}`, 65) + `]`, "prepare: has 65 entries (accepted: at most 64)"},
		"sidecar-no-name":    {`"sidecars": [{"command": ["/s"]}]`, "sidecars[0]: name is missing"},
		"sidecar-no-command": {`"sidecars": [{"name": "s"}]`, "sidecars[0]: command is missing"},
		"sidecar-empty-name": {`"sidecars": [{"name": ""}]`, `sidecars[0].name: "" is no name`},
		"sidecar-upper":      {`"sidecars": [{"name": "Log"}]`, "is no name for a sidecar (accepted: a-z, 0-9 and -"},
		"sidecar-long":       {`"sidecars": [{"name": "` + strings.Repeat("a", 33) + `"}]`, "is 33 bytes long (accepted: at most 32)"},
		"sidecar-gateway":    {`"sidecars": [{"name": "gateway"}]`, "is no name for a sidecar"},
		"sidecar-command":    {`"sidecars": [{"name": "command"}]`, "is no name for a sidecar"},
		"sidecar-init":       {`"sidecars": [{"name": "init"}]`, "is no name for a sidecar"},
		"sidecar-twice":      {`"sidecars": [{"name": "s", "command": ["/s"]}, {"name": "s", "command": ["/s"]}]`, `sidecars[1].name: "s" is the name of another sidecar`},
		"sidecar-token":      {`"sidecars": [{"name": "s", "command": ["/s"], "token_env": "T"}]`, "sidecars[0].token_env: is not for user sandbox (accepted: only with the gateway's user gateway or the operator's operator)"},
		"sidecar-token-uid":  {`"sidecars": [{"name": "s", "command": ["/s"], "user": "operator:sandbox", "token_env": "T"}]`, "sidecars[0].token_env: is not for user operator:sandbox"},
		"sidecar-token-env":  {`"sidecars": [{"name": "s", "command": ["/s"], "user": "gateway", "token_env": "T", "env": {"T": ""}}]`, "sidecars[0].env.T: is the token's variable"},
		"sidecar-token-pass": {`"sidecars": [{"name": "s", "command": ["/s"], "user": "gateway", "token_env": "T", "pass_env": ["T"]}]`, "sidecars[0].pass_env: names the token's variable T"},
		"sidecar-pass-gw":    {`"sidecars": [{"name": "s", "command": ["/s"], "pass_env": ["OPENCLAW_GATEWAY_TOKEN"]}]`, "sidecars[0].pass_env: names OPENCLAW_GATEWAY_TOKEN"},
		"sidecar-restart":    {`"sidecars": [{"name": "s", "restart": "no"}]`, `"no" is unknown (accepted: always, on-failure, never)`},
		"sidecar-pending":    {`"sidecars": [{"name": "s", "pending": ""}]`, `sidecars[0].pending: "" is empty, begins or ends with a space, or holds`},
		"pending-control":    {`"sidecars": [{"name": "s", "pending": "a\u202eb"}]`, `is empty, begins or ends with a space, or holds a character that cannot be printed`},
		"pending-space":      {`"sidecars": [{"name": "s", "pending": " "}]`, `" " is empty, begins or ends with a space`},
		"pending-long":       {`"sidecars": [{"name": "s", "pending": "` + strings.Repeat("x", 61) + `"}]`, "is 61 bytes long (accepted: at most 60)"},
		"sidecars-many":      {`"sidecars": [` + repeat(`{}`, 17) + `]`, "sidecars: has 17 entries (accepted: at most 16)"},
	} {
		t.Run(name, func(t *testing.T) {
			checkRefused(t, `{`+c.setting+`, "gateway": {"command": ["/bin/gateway"]}}`, c.want)
		})
	}
}

func repeat(item string, times int) string {
	return strings.TrimSuffix(strings.Repeat(item+",", times), ",")
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"K%d":"",`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}
