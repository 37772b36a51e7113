package boot

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"gatewayinit/internal/fsafe"
	"gatewayinit/internal/runtimedir"
	"gatewayinit/internal/sys"
)

// openRuntime is the runtime directory. Without root it is in the user's own
// place, whatever the configuration says: nobody prepared that one for us. It is
// locked before anything in it is touched.
func (b *booter) openRuntime() (dir *runtimedir.Dir, err error) {
	if b.rootless {
		xdg, _ := b.env.Value("XDG_RUNTIME_DIR")
		dir, err = runtimedir.OpenOwn(runtimedir.Own(xdg, b.who.gateway.UID), b.who.gateway.UID, b.cfg.RequireTmpfs)
	} else {
		dir, err = runtimedir.Open(b.cfg.RuntimeDir, b.cfg.RequireTmpfs)
	}
	if err == nil {
		err = dir.Lock()
	}
	return dir, err
}

// minFree is room for token, status and a few replies, each beside its former
// self: a file takes a page at least. Without it nobody could be told anything.
const minFree = 32 << 10

// checkSpace is for a tmpfs that is too small, or that others have filled.
func checkSpace(dir *runtimedir.Dir) error {
	free, total, err := sys.Space(dir.File)
	if err != nil || total == 0 || free >= minFree {
		return err
	}
	return fmt.Errorf("cannot use %s: %d bytes are free and %d are needed: make room, or run with --tmpfs %s",
		dir.Path, free, minFree, dir.Mount())
}

// advise adds to a boot error what to do about it, where it does not say.
func advise(err error, dir *runtimedir.Dir) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: make room, or run with --tmpfs %s", err, dir.Mount())
	case strings.HasSuffix(err.Error(), "remove it"):
		return err
	case errors.Is(err, fsafe.ErrUnsafe), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: remove it", err)
	}
	return err
}

// cleanup leaves no token behind where the directory outlives the container.
func (b *booter) cleanup(dir *runtimedir.Dir) error {
	return removeLeftover(dir, tokenName, uint32(os.Geteuid()), b.who.gateway.UID)
}
