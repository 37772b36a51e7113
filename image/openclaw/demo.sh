#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What make openclaw-demo runs: the real OpenClaw gateway, started as the README
# says, restarted, attacked as the agent's user, and its terminal UI opened. It
# ends with 0 only if all of it went as it should. Needs make openclaw.
set -uo pipefail

name=gateway-openclaw-demo-$$
# shellcheck source=image/demo-lib.sh
source "$(dirname "$0")/../demo-lib.sh"
# shellcheck disable=SC2054 # the commas are docker's
flags+=(--memory 3g --tmpfs /home/operator:uid=9003,gid=9003,mode=0700)
work=$(mktemp -d)
trap 'cleanup; rm -rf "$work"' EXIT

step "start: OpenClaw's gateway as its own user (it takes ten seconds and more to be ready)"
"$engine" run -d --name "$name" "${flags[@]}" -v /var/lib/openclaw -v /sandbox gateway-openclaw:dev >/dev/null || fail "cannot start the container"
progress gatewayctl wait --timeout 4m || fail "the gateway does not serve within 4 minutes"
in_container gatewayctl status || fail "gatewayctl status says that it does not serve"

step "tools: the agent's commands run as the sandbox user, outside the gateway; paired by themselves"
for ((i = 0; i < 240; i++)); do
	if in_container gatewayctl status --json | grep -q '"name":"pair","state":"done"'; then break; fi
	sleep 1
done
((i < 240)) || fail "the tools are not paired within 4 minutes"
in_container gatewayctl exec --no-tty -- openclaw nodes status --connected --json | grep -q '"displayName": "sandbox"' || fail "no node is connected"
ok "the node sandbox is connected"

step "restart: gatewayctl asks PID 1 and waits until the new gateway is proven"
progress gatewayctl restart --rotate-token --timeout 4m || fail "restart with a new token"

step "attack: the same container, as the agent's user"
find_gateway
denied "read the token file" as_agent cat /run/gateway-init/gateway-token
denied "read the gateway's environment" as_agent cat "/proc/$gateway_pid/environ"
denied "read the gateway's environment as its own user" "$engine" exec -u gateway "$name" cat "/proc/$gateway_pid/environ"
denied "open the gateway's state" as_agent ls /var/lib/openclaw
denied "kill the gateway" as_agent sh -c "kill -9 $gateway_pid"
denied "run gatewayctl" as_agent gatewayctl token

step "terminal UI: as the operator's user, with the token, on a terminal of its own"
mkfifo "$work/keys"
script -qefc "stty rows 40 cols 120; $engine exec -it $name /usr/local/bin/gatewayctl tui" "$work/screen" <"$work/keys" >/dev/null &
ui=$!
exec 3>"$work/keys"
for ((i = 0; i < 240; i++)); do
	if grep -q 'gateway connected' "$work/screen" 2>/dev/null; then break; fi
	sleep 1
done
((i < 240)) || { tail -c 1000 "$work/screen" >&2; fail "the terminal UI does not connect within 4 minutes"; }
ok "it says: gateway connected"
# Ctrl-C, twice, ends it. It is not pressed a third time while the UI leaves its own
# mode: it would be a signal then.
for ((i = 0; i < 60; i++)); do
	[[ -d /proc/$ui ]] || break
	if ((i % 10 < 2)) && ! grep -qF $'\e[?2004l' "$work/screen"; then printf '\003' >&3; fi
	sleep 1
done
exec 3>&-
wait "$ui" || fail "the terminal UI ended with $?"
ok "Ctrl-C ends it, exit code 0"

stopped_cleanly

if [[ -n ${ENGINE_PRIVATE:-} ]]; then step "done"; exit 0; fi
step "done. Try it yourself:"
echo "  $engine run -d --name openclaw -p 127.0.0.1:18789:18789 ${flags[*]} -v openclaw-state:/var/lib/openclaw -v openclaw-sandbox:/sandbox gateway-openclaw:dev"
echo "  $engine exec openclaw /usr/local/bin/gatewayctl wait && $engine exec -it openclaw /usr/local/bin/gatewayctl tui"
echo "  $engine exec openclaw /usr/local/bin/gatewayctl token --url http://localhost:18789    # the dashboard, for a browser"
