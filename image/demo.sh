#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make demo runs this script. It starts a container with the README's command,
# restarts its gateway, and lets an agent try to get the token. It ends with 0 only
# if all of it went as the README says. The images must be there (make image).
set -uo pipefail

name=gateway-init-demo-$$
# shellcheck source=image/demo-lib.sh
source "$(dirname "$0")/demo-lib.sh"

step "start: a gateway as its own user, no command, no agent yet"
"$engine" run -d --name "$name" "${flags[@]}" gateway-demo:dev >/dev/null || fail "cannot start the container"
in_container gatewayctl wait --timeout 30s >/dev/null || fail "the gateway does not serve within 30 s"
in_container gatewayctl status || fail "gatewayctl status says that it does not serve"

step "restart: gatewayctl asks PID 1 and waits until the new gateway is proven"
line=$(in_container gatewayctl restart --timeout 30s) || fail "restart"
ok "$line"
line=$(in_container gatewayctl restart --rotate-token --timeout 30s) || fail "restart with a new token"
ok "$line"

step "client: a program that has the token runs as the operator's user"
line=$(in_container gatewayctl exec demotools id 2>/dev/null) || fail "gatewayctl exec"
[[ $line == uid=9003* ]] || fail "a client runs as $line"
ok "gatewayctl exec demotools id: $line"
line=$("$engine" exec -i "$name" gatewayctl tui 2>/dev/null <<<exit | sed -n 's/^gateway: //p') || fail "gatewayctl tui"
[[ $line == "accepts the token" ]] || fail "the gateway $line"
ok "gatewayctl tui: the gateway $line"

step "attack: the same container, as the agent's user"
find_gateway
denied "read the token file" as_agent demotools cat /run/gateway-init/gateway-token
denied "read the gateway's environment" as_agent demotools cat "/proc/$gateway_pid/environ"
denied "kill the gateway" as_agent demotools sigsend "$gateway_pid" KILL
denied "write a request to PID 1" as_agent demotools write /run/gateway-init/control/request </dev/null
denied "run gatewayctl" as_agent gatewayctl restart
denied "get the token as a client" as_agent gatewayctl exec demotools env
# ask_tool PATH calls the gateway's own file tool, which obeys the agent.
ask_tool() { as_agent demotools http POST http://127.0.0.1:18789/agent/tool "{\"tool\":\"read\",\"path\":\"$1\"}"; }
for path in /run/gateway-init/gateway-token /proc/self/environ; do
	line=$(ask_tool "$path") || fail "ask the gateway's file tool for $path: nothing"
	grep -q 'permission denied' <<<"$line" || fail "ask the gateway's file tool for $path: the agent got it"
	ok "ask the gateway's own file tool for $path: permission denied"
done
line=$(in_container gatewayctl token | "$engine" exec -i -u sandbox "$name" demotools scan-token) || fail "the token is readable: $line"
ok "search every readable file and process for the token: nothing ($line)"

stopped_cleanly

# The private daemon of tests/engine/run ends with this script, images included.
if [[ -n ${ENGINE_PRIVATE:-} ]]; then step "done"; exit 0; fi
step "done. Try it yourself:"
echo "  $engine run -d --name demo ${flags[*]} gateway-demo:dev"
echo "  $engine exec demo /usr/local/bin/gatewayctl status --watch"
echo "  $engine exec -it demo /usr/local/bin/gatewayctl tui"
