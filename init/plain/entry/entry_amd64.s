// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// x86-64 Linux: system call number in AX; arguments in DI, SI, DX, R10; CX and
// R11 are lost. At entry SP points to argc and DX is for atexit(3): both are
// handed on as they were.

// func start()
TEXT ·start(SB),NOSPLIT|NOFRAME,$0
	MOVQ	DX, R15

	MOVL	$14, AX				// rt_sigprocmask(SIG_BLOCK, NULL, &mask, 8)
	XORL	DI, DI
	XORL	SI, SI
	LEAQ	·mask(SB), DX
	MOVL	$8, R10
	SYSCALL

	MOVL	$302, AX			// prlimit64(0, RLIMIT_NOFILE, NULL, &nofile)
	XORL	DI, DI
	MOVL	$7, SI
	XORL	DX, DX
	LEAQ	·nofile(SB), R10
	SYSCALL

	MOVL	$302, AX			// prlimit64(0, RLIMIT_AS, NULL, &limit)
	XORL	DI, DI
	MOVL	$9, SI
	XORL	DX, DX
	LEAQ	·limit(SB), R10
	SYSCALL
	TESTQ	AX, AX
	JNE	data
	CMPQ	·limit(SB), $1342177280		// 1280 MiB
	JCS	refuse
data:
	MOVL	$302, AX			// prlimit64(0, RLIMIT_DATA, NULL, &limit)
	XORL	DI, DI
	MOVL	$2, SI
	XORL	DX, DX
	LEAQ	·limit(SB), R10
	SYSCALL
	TESTQ	AX, AX
	JNE	signals
	CMPQ	·limit(SB), $83886080		// 80 MiB
	JCS	refuse
signals:

	MOVL	$64, R12
each:
	MOVL	$13, AX				// rt_sigaction(R12, NULL, &action, 8)
	MOVL	R12, DI
	XORL	SI, SI
	LEAQ	·action(SB), DX
	MOVL	$8, R10
	SYSCALL
	CMPQ	·action(SB), $1			// SIG_IGN
	JNE	next
	LEAL	-1(R12), CX
	BTSQ	CX, ·ignored(SB)
next:
	DECL	R12
	JNZ	each
	MOVQ	$1, ·noted(SB)

	MOVL	$39, AX				// getpid()
	SYSCALL
	CMPL	AX, $1
	JNE	go

	LEAQ	end<>(SB), AX
	MOVQ	AX, ·action+0(SB)
	MOVQ	$0x04000000, ·action+8(SB)	// SA_RESTORER: x86-64 has no handler without
	MOVQ	AX, ·action+16(SB)
	MOVQ	$-1, ·action+24(SB)
	MOVL	$15, R12			// SIGHUP, SIGINT, SIGQUIT, SIGTERM
	MOVL	$0x4007, R13
answer:
	LEAL	-1(R12), CX
	BTL	CX, R13
	JCC	skip
	BTQ	CX, ·ignored(SB)
	JCS	skip
	MOVL	$13, AX				// rt_sigaction(R12, &action, NULL, 8)
	MOVL	R12, DI
	LEAQ	·action(SB), SI
	XORL	DX, DX
	MOVL	$8, R10
	SYSCALL
skip:
	DECL	R12
	JNZ	answer
go:
	MOVQ	R15, DX
	JMP	_rt0_amd64_linux(SB)
refuse:
	MOVL	$1, AX				// write(2, refusal)
	MOVL	$2, DI
	MOVQ	·refusal+0(SB), SI
	MOVQ	·refusal+8(SB), DX
	SYSCALL
	MOVL	$231, AX			// exit_group(1)
	MOVL	$1, DI
	SYSCALL
	INT	$3

// end is the handler: it touches nothing but registers.
TEXT end<>(SB),NOSPLIT|NOFRAME,$0
	ADDL	$128, DI
	MOVL	$231, AX			// exit_group(128+n)
	SYSCALL
	INT	$3
