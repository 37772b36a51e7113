// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func clone(flags uintptr) (pid, errno uintptr)
//
// Parent and child return from it on the same stack, one after the other: the
// return address is in LR, which each has for itself.
TEXT ·clone(SB),NOSPLIT,$0-24
	MOVD	flags+0(FP), R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$220, R8			// clone(flags, NULL, NULL, 0, NULL)
	SVC
	CMN	$4095, R0
	BCS	failed
	MOVD	R0, pid+8(FP)
	MOVD	ZR, errno+16(FP)
	RET
failed:
	NEG	R0, R0
	MOVD	ZR, pid+8(FP)
	MOVD	R0, errno+16(FP)
	RET
