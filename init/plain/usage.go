// SPDX-License-Identifier: Apache-2.0

package plain

// usage is the help text of plain init mode.
const usage = `usage: gateway-init [OPTION...] [--] COMMAND [ARG...]
       gateway-init --version | -h | -l

Where there is no /etc/gateway-init, gateway-init is an init and nothing more:
it runs COMMAND in a process group of its own, forwards signals, reaps, and ends
with COMMAND's exit code (128+n for signal n; 127 not found, 126 not executable).
It takes the options of tini and those of dumb-init that tini has not.

  -s                 become a subreaper, where it is not PID 1
  -g                 send signals to COMMAND's process group
  -c, --single-child send them to COMMAND alone (the default)
  -p SIGNAL          get SIGNAL when our parent ends
  -e CODE            end with 0 instead of CODE; can be repeated
  -r, --rewrite A:B  forward signal A as B, or not at all (A:0); can be repeated
  -w                 a line for each orphan that is reaped
  -v, --verbose      more lines; can be repeated
  --user NAME[:GROUP]  run COMMAND as this user, with its groups and HOME
  --drop-caps        run COMMAND without capabilities and with no_new_privs
  --grace TIME       when COMMAND has ended, send SIGTERM to what is left, after
                     TIME (5, 500ms, ...) SIGKILL, and reap it (with -s)
  -h, --help, -V, --version, -l
                     show this, the version, the license

Environment: TINI_SUBREAPER (as -s), TINI_KILL_PROCESS_GROUP (as -g),
TINI_VERBOSITY (0 to 4; default 1, warnings).
`

// license is the text that -l shows.
const license = "gateway-init is licensed under the Apache License, Version 2.0:\nhttps://www.apache.org/licenses/LICENSE-2.0\n"
