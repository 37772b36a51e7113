// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"os"
	"time"

	"github.com/gateway-init/gateway-init/internal/clientlock"
	"github.com/gateway-init/gateway-init/internal/fsafe"
	"github.com/gateway-init/gateway-init/internal/logfile"
	"github.com/gateway-init/gateway-init/internal/prepare"
	"github.com/gateway-init/gateway-init/internal/procfs"
	"github.com/gateway-init/gateway-init/internal/runtimedir"
	"github.com/gateway-init/gateway-init/internal/status"
	"github.com/gateway-init/gateway-init/internal/sys"
	"github.com/gateway-init/gateway-init/internal/version"
	"github.com/gateway-init/gateway-init/supervisor"
	"github.com/gateway-init/gateway-init/supervisor/control"
	"github.com/gateway-init/gateway-init/tokenfile"
)

// supervisorConfig makes the configuration of the supervisor's loop (docs/design.md,
// section 5, steps 8 and 9).
func (b *bootstrap) supervisorConfig(dir *runtimedir.Dir, shared bool) (*supervisor.Config, error) {
	for _, name := range []string{status.Name, status.Name + fsafe.NewSuffix, status.Name + fsafe.ReserveSuffix} {
		if err := fsafe.RemoveLeftover(dir.File, name, uint32(os.Geteuid())); err != nil {
			return nil, fmt.Errorf("cannot replace the status record: %w", err)
		}
	}
	if err := logfile.RemoveAll(dir.File); err != nil {
		return nil, fmt.Errorf("cannot remove an old log: %w", err)
	}
	server, err := control.NewServer(dir.File)
	if err != nil {
		return nil, addRemedy(fmt.Errorf("cannot make the request FIFO: %w", err), dir)
	}
	if err := checkSpace(dir); err != nil {
		return nil, err
	}
	if err := server.Reserve(); err != nil {
		return nil, addRemedy(fmt.Errorf("cannot reserve space for replies: %w", err), dir)
	}
	record, err := fsafe.NewReserved(dir.File, status.Name, recordSize)
	if err != nil {
		return nil, addRemedy(fmt.Errorf("cannot reserve space for the status record: %w", err), dir)
	}
	c := &supervisor.Config{Settings: b.cfg, Server: server, Log: b.baseLog, Validate: b.validate, Room: checkRoom, Terminal: sys.IsTerminal(0)}
	if !b.settings.noGateway {
		policy := tokenfile.Policy{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), RequireTmpfs: dir.Disk == ""}
		token, err := tokenfile.NewStore(dir.File, dir.Path, policy, b.users.gateway.UID)
		if err != nil {
			return nil, addRemedy(fmt.Errorf("cannot write the token: %w", err), dir)
		}
		b.token, c.Token = token, token
		clients, err := clientlock.Make(dir.File)
		if err != nil {
			return nil, addRemedy(err, dir)
		}
		c.Clients = func() (bool, error) { return clientlock.IsHeld(clients) }
		c.ForgetClients = func() error { return clientlock.Clear(clients) }
		c.Gateway = b.gateway()
		c.Sidecars = b.sidecars()
		if err := b.publish(c, dir); err != nil {
			return nil, err
		}
		if _, preset := b.env.Value(b.cfg.Gateway.TokenEnv); preset {
			b.log.Warn().Str("event", evPresetToken).Str("name", b.cfg.Gateway.TokenEnv).
				Msg("the container's environment sets the token's variable: it is not used, and no process gets it")
		}
	}
	c.Started, c.Worker = started(), b.worker()
	if len(b.settings.command) > 0 {
		c.Command = b.command()
	}
	dirs := b.prepareEntries()
	c.Prepare = func() error { return prepare.Make(dirs) }
	c.Launchable = func() error { return launchable(c.Gateway.Spec) }
	c.Others = b.otherUIDs()
	self, err := procfs.Identify(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("cannot read our own identity: %w", err)
	}
	c.Base = b.record(dir, self)
	c.Publish = func(r status.Record) error {
		data, err := status.Encode(r)
		if err != nil {
			return err
		}
		return record.Replace(data)
	}
	return c, b.openLogs(dir, c)
}

func (b *bootstrap) record(dir *runtimedir.Dir, self procfs.ID) status.Record {
	g := status.Gateway{UID: b.users.gateway.UID, GID: b.users.gateway.GID, Port: b.cfg.Gateway.Port, RandomPort: b.cfg.Gateway.RandomPort(), Enabled: !b.settings.noGateway}
	separation := status.SeparationUID
	if b.rootless {
		separation = status.SeparationNone
	}
	return status.Record{
		Schema: status.Schema, Version: version.String,
		Init:      self,
		StartedAt: time.Now(), RuntimeDir: dir.Path, Gateway: g, Publish: b.published,
		Separation: separation, Caps: caps(b.remaining), Hardening: append([]status.Hardening{}, b.hardening...),
	}
}
