# shellcheck shell=bash disable=SC2034,SC2054,SC2154 # flags and name are shared with the sourcing script
# image/demo-lib.sh has the functions of both demos, which source it. $name must be
# the container's name.

engine=${ENGINE:-docker}
flags=(--read-only --tmpfs /run/gateway-init:mode=0700,size=1m --tmpfs /tmp:size=256m --pids-limit 512
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
cleanup() { "$engine" rm -f -v "$name" >/dev/null 2>&1; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

in_container() { "$engine" exec "$name" "$@"; }
as_agent() { "$engine" exec -u sandbox "$name" "$@"; }

# denied WHAT CMD... checks that CMD fails with an error of the kernel.
denied() {
	local what=$1 said
	shift
	if said=$("$@" 2>&1); then fail "$what: the agent got it"; fi
	grep -qi -e 'permission denied' -e 'operation not permitted' <<<"$said" || fail "$what: not denied, but: $said"
	ok "$what: permission denied"
}

# find_gateway sets gateway_pid.
find_gateway() {
	gateway_pid=$(in_container gatewayctl health | sed -n 's/^serving: pid \([0-9]*\),.*/\1/p')
	[[ $gateway_pid =~ ^[0-9]+$ ]] || fail "gatewayctl health names no pid"
}

# stopped_cleanly is the last step of both demos.
stopped_cleanly() {
	step "stop: everything ends within the engine's grace"
	"$engine" stop "$name" >/dev/null || fail "cannot stop"
	code=$("$engine" inspect -f '{{.State.ExitCode}}' "$name")
	[[ $code == 0 ]] || fail "exit code $code instead of 0"
	ok "exit code 0"
}

# progress CMD... runs CMD in the container, on the terminal if there is one, so that
# CMD shows its progress.
progress() {
	if [[ -t 1 ]]; then "$engine" exec -t "$name" "$@"; else in_container "$@"; fi
}
