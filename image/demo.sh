#!/usr/bin/env bash
# What make demo runs: a container with the README's command, a restart of its
# gateway, and an agent that tries to get the token. It ends with 0 only if all
# of it went as the README says. The images must be there (make image).
set -uo pipefail

engine=${ENGINE:-docker}
name=gateway-init-demo-$$
flags=(--read-only --tmpfs /run/gateway-init:mode=0711,size=1m --tmpfs /tmp --pids-limit 512
	--security-opt no-new-privileges --cap-drop ALL --cap-add CHOWN --cap-add KILL
	--cap-add SETGID --cap-add SETUID --cap-add SETPCAP)

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
	bold=$'\e[1m' good=$'\e[32m' bad=$'\e[31m' off=$'\e[0m'
else
	bold='' good='' bad='' off=''
fi

step() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
ok() { printf '  %sok%s  %s\n' "$good" "$off" "$*"; }
fail() {
	printf '  %sfailed%s  %s\n' "$bad" "$off" "$*" >&2
	echo "  the container said:" >&2
	"$engine" logs --tail 20 "$name" 2>&1 | sed 's/^/    /' >&2
	exit 1
}
cleanup() { "$engine" rm -f "$name" >/dev/null 2>&1; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

in_container() { "$engine" exec "$name" "$@"; }
as_agent() { "$engine" exec -u sandbox "$name" "$@"; }

# denied WHAT CMD...: CMD must fail because the kernel says so.
denied() {
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then fail "$what: the agent got it"; fi
	grep -qi -e 'permission denied' -e 'operation not permitted' <<<"$said" || fail "$what: not denied, but: $said"
	ok "$what: permission denied"
}

step "start: a gateway as its own user, no command, no agent yet"
"$engine" run -d --name "$name" "${flags[@]}" gateway-demo:dev >/dev/null || fail "cannot start the container"
in_container gatewayctl wait --timeout 30s >/dev/null || fail "the gateway does not serve within 30 s"
in_container gatewayctl status || fail "gatewayctl status says that it does not serve"

step "restart: gatewayctl asks PID 1 and waits until the new gateway is proven"
line=$(in_container gatewayctl restart --timeout 30s) || fail "restart"
ok "$line"
line=$(in_container gatewayctl restart --rotate-token --timeout 30s) || fail "restart with a new token"
ok "$line"

step "client: a program with the token, as the operator, for as long as it runs"
line=$(in_container gatewayctl exec demotools id 2>/dev/null) || fail "gatewayctl exec"
[[ $line == uid=9003* ]] || fail "a client runs as $line"
ok "gatewayctl exec demotools id: $line"
line=$("$engine" exec -i "$name" gatewayctl tui 2>/dev/null <<<exit | sed -n 's/^gateway: //p') || fail "gatewayctl tui"
[[ $line == "takes the token" ]] || fail "the gateway $line"
ok "gatewayctl tui: the gateway $line"

step "attack: the same container, as the agent's user"
gateway_pid=$(in_container gatewayctl health | sed -n 's/^serving: pid \([0-9]*\),.*/\1/p')
[[ $gateway_pid =~ ^[0-9]+$ ]] || fail "gatewayctl health names no pid"
denied "read the token file" as_agent demotools cat /run/gateway-init/gateway-token
denied "read the gateway's environment" as_agent demotools cat "/proc/$gateway_pid/environ"
denied "kill the gateway" as_agent demotools sigsend "$gateway_pid" KILL
denied "write a request to PID 1" as_agent demotools write /run/gateway-init/control/request </dev/null
denied "run gatewayctl" as_agent gatewayctl restart
denied "get the token as a client" as_agent gatewayctl exec demotools env
line=$(in_container gatewayctl token | "$engine" exec -i -u sandbox "$name" demotools scan-token) || fail "the token is readable: $line"
ok "search every readable file and process for the token: nothing ($line)"

step "stop: everything ends within the engine's grace"
"$engine" stop "$name" >/dev/null || fail "cannot stop"
code=$("$engine" inspect -f '{{.State.ExitCode}}' "$name")
[[ $code == 0 ]] || fail "exit code $code instead of 0"
ok "exit code 0"

# The private daemon of tests/engine/run ends with this script, images included.
if [[ -n ${ENGINE_PRIVATE:-} ]]; then step "done"; exit 0; fi
step "done. Try it yourself:"
echo "  $engine run -d --name demo ${flags[*]} gateway-demo:dev"
echo "  $engine exec demo gatewayctl status --watch"
echo "  $engine exec -it demo gatewayctl tui"
