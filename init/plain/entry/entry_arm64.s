// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// arm64 Linux: system call number in R8; arguments and result from R0 on. At
// entry RSP points to argc.

// func start()
TEXT ·start(SB),NOSPLIT|NOFRAME,$0
	MOVD	$135, R8			// rt_sigprocmask(SIG_BLOCK, NULL, &mask, 8)
	MOVD	$0, R0
	MOVD	$0, R1
	MOVD	$·mask(SB), R2
	MOVD	$8, R3
	SVC

	MOVD	$261, R8			// prlimit64(0, RLIMIT_NOFILE, NULL, &nofile)
	MOVD	$0, R0
	MOVD	$7, R1
	MOVD	$0, R2
	MOVD	$·nofile(SB), R3
	SVC

	MOVD	$261, R8			// prlimit64(0, RLIMIT_AS, NULL, &limit)
	MOVD	$0, R0
	MOVD	$9, R1
	MOVD	$0, R2
	MOVD	$·limit(SB), R3
	SVC
	CBNZ	R0, data
	MOVD	$·limit(SB), R4
	MOVD	(R4), R4
	MOVD	$1342177280, R5			// 1280 MiB
	CMP	R5, R4
	BLO	refuse
data:
	MOVD	$261, R8			// prlimit64(0, RLIMIT_DATA, NULL, &limit)
	MOVD	$0, R0
	MOVD	$2, R1
	MOVD	$0, R2
	MOVD	$·limit(SB), R3
	SVC
	CBNZ	R0, signals
	MOVD	$·limit(SB), R4
	MOVD	(R4), R4
	MOVD	$83886080, R5			// 80 MiB
	CMP	R5, R4
	BLO	refuse
signals:

	MOVD	$64, R19
	MOVD	$0, R20				// ignored
	MOVD	$·action(SB), R21
each:
	MOVD	$134, R8			// rt_sigaction(R19, NULL, &action, 8)
	MOVD	R19, R0
	MOVD	$0, R1
	MOVD	R21, R2
	MOVD	$8, R3
	SVC
	MOVD	(R21), R4
	CMP	$1, R4				// SIG_IGN
	BNE	next
	SUB	$1, R19, R5
	MOVD	$1, R6
	LSL	R5, R6, R6
	ORR	R6, R20, R20
next:
	SUBS	$1, R19, R19
	BNE	each
	MOVD	$·ignored(SB), R4
	MOVD	R20, (R4)
	MOVD	$·noted(SB), R4
	MOVD	$1, R5
	MOVD	R5, (R4)

	MOVD	$172, R8			// getpid()
	SVC
	CMP	$1, R0
	BNE	go

	MOVD	$end<>(SB), R4			// no flags: arm64 needs no restorer
	MOVD	R4, (R21)
	MOVD	ZR, 8(R21)
	MOVD	ZR, 16(R21)
	MOVD	$-1, R5
	MOVD	R5, 24(R21)
	MOVD	$15, R19			// SIGHUP, SIGINT, SIGQUIT, SIGTERM
	MOVD	$0x4007, R22
answer:
	SUB	$1, R19, R5
	LSR	R5, R22, R6
	TBZ	$0, R6, skip
	LSR	R5, R20, R6
	TBNZ	$0, R6, skip
	MOVD	$134, R8			// rt_sigaction(R19, &action, NULL, 8)
	MOVD	R19, R0
	MOVD	R21, R1
	MOVD	$0, R2
	MOVD	$8, R3
	SVC
skip:
	SUBS	$1, R19, R19
	BNE	answer
go:
	B	_rt0_arm64_linux(SB)
refuse:
	MOVD	$64, R8				// write(2, refusal)
	MOVD	$2, R0
	MOVD	$·refusal(SB), R4
	MOVD	0(R4), R1
	MOVD	8(R4), R2
	SVC
	MOVD	$94, R8				// exit_group(1)
	MOVD	$1, R0
	SVC
	BRK

// end is the handler: it touches nothing but registers.
TEXT end<>(SB),NOSPLIT|NOFRAME,$0
	ADD	$128, R0
	MOVD	$94, R8				// exit_group(128+n)
	SVC
	BRK
