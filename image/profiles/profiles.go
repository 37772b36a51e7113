// SPDX-License-Identifier: Apache-2.0

// Package profiles holds the data of gatewayctl about each gateway. GATEWAY.json
// is a configuration for an image with that gateway, and is not embedded here.
// GATEWAY.verify.json has the rest, for verify-image and config seal:
//
//	name           the name for --profile, as in the name of the file
//	order          the place in lists, from 1; config seal takes the first own_config
//	token_env      the value of gateway.token_env; if absent, any
//	recognized_by  values that a configuration of the gateway has, all of:
//	               program (base name of the first word of gateway.command),
//	               argument (base name of any of its words), token_env
//	execute_only   the gateway's program must have mode 0711, so that its users
//	               cannot read it
//	interpreter    the program is an interpreter, and its first argument the gateway
//	no_compilers   the image must not have compilers
//	own_config     the gateway's own configuration, if it may hold a token:
//	  file         its path; files of this name are searched in every layer
//	  token        the key that must be "", such as gateway.auth.token
//	  mode         the key that says which credential counts; mode_value is the
//	               value that it must have
//	  password     the key of another credential, which must be absent or ""
//	  backups      the parts of backup names that follow the name of the file
//	device_state   names of files that no layer may have in a home
package profiles

import "embed"

// Files has the GATEWAY.verify.json of each gateway.
//
//go:embed *.verify.json
var Files embed.FS
