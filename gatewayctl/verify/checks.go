// SPDX-License-Identifier: Apache-2.0

package verify

import "strconv"

// check is one row of the table.
type check struct {
	name string
	of   func(profile) bool // nil if every profile has it
	make func(*inspection) checkResult
}

// checks returns the closed list, in the order of the output; docs/image.md has
// each.
func checks() []check {
	return []check{
		{"tree", nil, checkTree},
		{"init", nil, checkInit},
		{"ctl", nil, checkCtl},
		{"hashes", nil, checkHashes},
		{"release", nil, checkRelease},
		{"config", nil, checkConfig},
		{"profile", nil, checkProfile},
		{"parents", nil, checkParents},
		{"programs", nil, checkPrograms},
		{"relay", nil, checkRelay},
		{"execute-only", func(p profile) bool { return p.hidden }, checkExecuteOnly},
		{"environ-readable", nil, checkEnvironReadable},
		{"environment-open-in-children", nil, checkOpenInChildren},
		{"gateway-not-readable", nil, checkNotReadable},
		{"node-debugger", nil, checkNodeDebugger},
		{"gateway-code", func(p profile) bool { return p.script }, checkGatewayCode},
		{"users", nil, checkUsers},
		{"accounts", nil, checkAccounts},
		{"gateway-group", nil, checkGatewayGroup},
		{"gateway-member", nil, checkGatewayMember},
		{"sandbox-group", nil, checkSandboxGroup},
		{"sandbox-member", nil, checkSandboxMember},
		{"operator-group", nil, checkOperatorGroup},
		{"operator-member", nil, checkOperatorMember},
		{"homes", nil, checkHomes},
		{"set-id", nil, checkSetID},
		{"capabilities", nil, checkCapabilities},
		{"world-writable", nil, checkWorldWritable},
		{"compilers", func(p profile) bool { return p.bare }, checkCompilers},
		{"entrypoint", nil, checkEntrypoint},
		{"image-user", nil, checkImageUser},
		{"health", nil, checkHealth},
		{"stop-signal", nil, checkStopSignal},
		{"environment", nil, checkEnvironment},
		{"path", nil, checkPath},
		{"history", nil, checkHistory},
		{"token-files", nil, checkTokenFiles},
		{"config-tokens", nil, checkConfigTokens},
		{"token-assignments", nil, checkAssignments},
		{"device-state", nil, checkDeviceState},
		{"token-bytes", nil, checkTokenBytes},
		{"placeholder", func(p profile) bool { return p.own.File != "" }, checkPlaceholder},
		{"pin", func(p profile) bool { return p.own.File != "" }, checkPin},
		{"probe-root", nil, checkProbeRoot},
		{"probe-sandbox", nil, checkProbeSandbox},
	}
}

func formatInt(n int) string { return strconv.Itoa(n) }
