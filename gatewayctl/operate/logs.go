// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/gateway-init/gateway-init/gatewayctl/external"
	"github.com/gateway-init/gateway-init/internal/logfile"
	"github.com/gateway-init/gateway-init/internal/reason"
	"github.com/gateway-init/gateway-init/internal/status"
)

// Log is the content of one log.
type Log struct {
	Path string
	Text []byte // may end within a line, and have any bytes
}

// ErrNoLogs means that none of the logs is in a file (docs/logging.md).
var ErrNoLogs = errors.New("no log is in a file")

// Logs reads the logs. The error matches ErrNoLogs if none of them exists.
func (l *Local) Logs(_ context.Context, names []string) (logs []Log, err error) {
	dir, err := l.OpenRuntime()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for _, name := range names {
		text, err := logfile.Read(dir, name, l.Owner)
		switch {
		case err == nil:
			logs = append(logs, Log{strings.TrimSuffix(dir.Name(), "/") + "/" + name, text})
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	if logs == nil {
		return nil, ErrNoLogs
	}
	return logs, nil
}

// Logs refuses, because root believes no file of that user.
func (e External) Logs(ctx context.Context, _ []string) ([]Log, error) {
	s, err := e.local.Find(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	uid := s.UIDs[0]
	return nil, &external.Failure{Reason: reason.NotPermitted,
		Err: fmt.Errorf("%w of uid %d, which root does not believe: docker exec -u %d:%d CONTAINER /usr/local/bin/gatewayctl logs", errOthersLogs, uid, uid, s.GIDs[0])}
}

// errOthersLogs begins the refusal of External.
var errOthersLogs = errors.New("the logs are files")

// Advise writes the ids of the supervisor's user into advice. It keeps docker logs, which
// is right for root.
func (e External) Advise(advice string) string {
	if !strings.Contains(advice, asSupervisor) {
		return advice
	}
	ctx, cancel := context.WithTimeout(context.Background(), LookTimeout)
	defer cancel()
	s, err := e.local.Find(ctx)
	if err != nil {
		return advice
	}
	defer s.Close()
	return strings.ReplaceAll(advice, asSupervisor, fmt.Sprintf("-u %d:%d", s.UIDs[0], s.GIDs[0]))
}

// asSupervisor is the flag in all advice that names the supervisor's user.
const asSupervisor = "-u UID:GID"

// Advise implements Operator.
func (l *Local) Advise(advice string) string {
	if !strings.Contains(advice, dockerLogs) {
		return advice
	}
	dir, err := l.OpenRuntime()
	if err != nil {
		return advice
	}
	defer dir.Close()
	r, err := status.Read(dir, l.Owner)
	if err != nil {
		return advice
	}
	return adviseFor(&r, advice)
}

func adviseFor(r *status.Record, advice string) string {
	if !r.LogFiles {
		return advice
	}
	return strings.ReplaceAll(advice, dockerLogs, "gatewayctl logs")
}

// dockerLogs is the command in all advice that names the log.
const dockerLogs = "docker logs CONTAINER"
