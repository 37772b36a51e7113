// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func clone(flags uintptr) (pid, errno uintptr)
//
// Parent and child return from it on the same stack, one after the other: the
// return address is kept in a register, which each has for itself.
TEXT ·clone(SB),NOSPLIT|NOFRAME,$0-24
	MOVQ	flags+0(FP), DI
	XORL	SI, SI
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	MOVL	$56, AX				// clone(flags, NULL, NULL, NULL, 0)
	POPQ	R12
	SYSCALL
	PUSHQ	R12
	CMPQ	AX, $0xfffffffffffff001
	JCC	failed
	MOVQ	AX, pid+8(FP)
	MOVQ	$0, errno+16(FP)
	RET
failed:
	NEGQ	AX
	MOVQ	$0, pid+8(FP)
	MOVQ	AX, errno+16(FP)
	RET
