// SPDX-License-Identifier: Apache-2.0

// Package boot does the work of gateway-init before its loop. It reads the command
// line and the configuration, resolves users, drops privileges, makes the runtime
// directory, mints the token, and hands everything to the supervisor. The order is
// that of docs/design.md, section 5. A step that fails ends boot with one line that
// says what to do, and leaves nothing running.
package boot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/gateway-init/gateway-init/internal/advice"
	"github.com/gateway-init/gateway-init/internal/config"
	"github.com/gateway-init/gateway-init/internal/environ"
	"github.com/gateway-init/gateway-init/internal/ports"
	"github.com/gateway-init/gateway-init/internal/privs"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/users"
	"github.com/gateway-init/gateway-init/internal/version"
	"github.com/gateway-init/gateway-init/supervisor"
	"github.com/gateway-init/gateway-init/supervisor/exitauth"
	"github.com/gateway-init/gateway-init/supervisor/sweep"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// Exit codes of boot.
const (
	codeFailed = 1
	codeUsage  = 2 // command line and configuration
)

// warmThreads is the number of spare threads. They inherit the remaining privileges.
const warmThreads = 12

// flushBound is how long gateway-init waits for the log before it exits.
const flushBound = 500 * time.Millisecond

// Run runs gateway-init and returns its exit code. args is the command line and env
// is the environment.
func Run(args, env []string) int {
	s, err := parseArgs(args[1:])
	if err != nil {
		return fail(codeUsage, fmt.Errorf("%w (gateway-init --help)", err))
	}
	if s.mode != runMode {
		ignorePipe()
	}
	switch s.mode {
	case helpMode:
		return print(os.Stdout, usage)
	case versionMode:
		return print(os.Stdout, "gateway-init "+version.String+"\n")
	case checkMode:
		return check(s.config)
	}
	cfg, err := load(s)
	if err != nil {
		return fail(codeUsage, err)
	}
	return run(s, cfg, environ.Clean(env))
}

// load reads the configuration. Plain init mode is for images without
// /etc/gateway-init. If the directory exists, a missing file is a mistake and
// never a reason to run the agent without its supervisor.
func load(s settings) (*config.Config, error) {
	if _, err := os.Lstat(config.DefaultDir); !s.given && errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot find %s: put a config.json there or give --config FILE", config.DefaultDir)
	}
	return config.Load(s.config)
}

// check carries out --check-config and returns the exit code.
func check(unsafePath string) int {
	cfg, err := config.Load(unsafePath)
	if err != nil {
		return fail(codeUsage, err)
	}
	for _, h := range cfg.Hints() {
		fmt.Fprintf(os.Stderr, "gateway-init: note: %s %s\n", h.Key, h.Text)
	}
	if err := cfg.WriteEffective(os.Stdout); err != nil {
		return fail(codeFailed, fmt.Errorf("cannot print the effective configuration: %w", err))
	}
	return 0
}

func print(w io.Writer, text string) int {
	if _, err := io.WriteString(w, text); err != nil {
		return codeFailed
	}
	return 0
}

// fail prints the error that ends boot as one line, and returns code. It writes
// to stderr directly, because the log may not exist yet.
func fail(code int, err error) int {
	ignorePipe()
	fmt.Fprintf(os.Stderr, "gateway-init: %v\n", err)
	return code
}

// run does the part of boot that begins with the users (docs/design.md, section 5,
// step 4), runs the loop, and returns the exit code.
func run(s settings, cfg *config.Config, env environ.List) int {
	rootless := os.Geteuid() != 0
	if rootless && cfg.RequireSeparation {
		return fail(codeFailed, fmt.Errorf("cannot separate the agent from the gateway as uid %d, and require_separation is set: run the container as root (without --user); gateway-init drops what it does not need", os.Geteuid()))
	}
	who, err := identify(cfg, env, rootless)
	if err != nil {
		return fail(codeUsage, err)
	}
	if err := checkPort(&cfg.Gateway); err != nil && !s.noGateway {
		return fail(codeUsage, err)
	}
	if err := checkProc(); err != nil {
		return fail(codeFailed, err)
	}
	bounded, err := checkLimits(cfg, s)
	if err != nil {
		return fail(codeFailed, err)
	}
	if !rootless {
		if err := users.CheckMapped(who.all()...); err != nil {
			return fail(codeFailed, err)
		}
	}
	cwd, err := os.Getwd()
	if err != nil || len(s.command) == 0 { // removed, or not needed
		if err := os.Chdir("/"); err != nil {
			return fail(codeFailed, err)
		}
		cwd = "/"
	}
	std, err := openStdio()
	if err != nil {
		return fail(codeFailed, err)
	}
	out := newOutlet(std.log)
	log := logger(cfg.LogFormat, out.ring)
	b := &bootstrap{settings: s, cfg: cfg, env: env, rootless: rootless, users: who, cwd: cwd, bounded: bounded, stdio: std, outlet: out, baseLog: log, log: supervisor.OriginInit(log)}
	code, err := b.run()
	out.ring.Flush(flushBound)
	if err != nil {
		return fail(code, err)
	}
	return code
}

// checkProc refuses anything but the procfs of our own PID namespace at /proc, because
// proofs and signals rely on it.
func checkProc() error {
	if err := procfs.Check(); err != nil {
		return fmt.Errorf("cannot use /proc: %w: the engine must mount procfs there, in the container's own PID namespace", err)
	}
	return nil
}

// bootstrap holds the state that the steps of boot share.
type bootstrap struct {
	settings  settings
	cfg       *config.Config
	env       environ.List
	rootless  bool // all users are our own user; nothing is separated
	users     identities
	cwd       string // the container's working directory, and ours until the command has it
	bounded   bool   // the cgroup has a limit on pids
	stdio     *stdio
	outlet    *outlet        // behind baseLog
	baseLog   zerolog.Logger // without an origin
	log       zerolog.Logger // with our origin
	hardening hardening
	remaining privs.State
	confined  bool // the gateway gets the rule of gateway.confine
	nofile    uint64
	warmed    sync.Once        // the spare threads exist
	scores    scores           // none: children keep PID 1's OOM score
	token     *tokenfile.Store // nil with --no-gateway
	held      *ports.Held      // nil: no port is held
	published *status.Publish  // nil: none is configured
}

func (b *bootstrap) run() (int, error) {
	if err := b.drop(); err != nil {
		return codeFailed, err
	}
	for _, h := range b.cfg.Hints() {
		b.log.Warn().Str("event", evConfigHint).Str("key", h.Key).Str("detail", h.Text).Msg("")
	}
	signals := subscribe()
	syscall.Umask(privateUmask)
	b.holdPort()
	if err := b.validate(); !b.settings.noGateway && err != nil {
		return codeFailed, err
	}
	dir, err := b.openRuntime()
	if err != nil {
		return codeFailed, err
	}
	if dir.Shared != "" && !b.rootless { // without root the agent can fill any
		b.hardening.add("shared-tmpfs", dir.Shared+" is writable by others, who can fill it: "+advice.Tmpfs(b.cfg.RuntimeDir, "mode=0700,size=1m"))
	}
	if dir.Disk != "" {
		b.hardening.add("runtime-dir-on-disk", "the token is written to "+dir.Disk+": mount a tmpfs at "+dir.Path)
	}
	shared := b.subreaper()
	c, err := b.supervisorConfig(dir, shared)
	if err != nil {
		return codeFailed, err
	}
	if err := b.reportHardening(); err != nil {
		return codeFailed, err
	}
	b.reportGroups()
	if b.rootless {
		c.Unseparated, c.Sweeper = true, sweep.NewByAncestry(b.cfg.Gateway.TokenEnv, b.token.HasMinted)
		c.Authorized = exitauth.Check
	} else {
		b.sweepByUID(c, shared, &signals)
	}
	c.Signals = signals
	if b.rootless || b.settings.noGateway || b.cfg.CommandStart == "immediate" {
		b.warm()
	}
	code, err := supervisor.New(*c).Run()
	if cleanupErr := b.cleanup(dir); cleanupErr != nil {
		b.log.Warn().Str("event", evCleanup).Err(cleanupErr).Msg("")
	}
	return code, err
}
