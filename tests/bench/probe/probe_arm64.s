// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// The system call number is in R8, arguments and result from R0 on. At entry RSP
// points to argc, argv, NULL, envp, NULL.

#define BATCH $500

// func start()
TEXT ·start(SB),NOSPLIT|NOFRAME,$0
	MOVD	RSP, R19			// argc
	SUB	$64, RSP			// 0: timespec, 16: signal set, 32: time to sleep
	MOVD	RSP, R20
	BL	note<>(SB)

	MOVD	(R19), R21			// batches: argc-1
	SUBS	$1, R21
	BEQ	block
	MOVD	16(R19), R0			// argv[1][0]
	MOVBU	(R0), R0
	CMP	$120, R0			// x
	BEQ	execute
block:
	MOVD	$0x200, R0			// SIGUSR1
	MOVD	R0, 16(R20)
	MOVD	$135, R8			// rt_sigprocmask(SIG_BLOCK, &set, NULL, 8)
	MOVD	$0, R0
	ADD	$16, R20, R1
	MOVD	$0, R2
	MOVD	$8, R3
	SVC

	BL	record<>(SB)
	CBZ	R21, wait
	MOVD	16(R19), R0
	MOVBU	(R0), R0
	CMP	$115, R0			// s
	BEQ	sleepers

batch:
	BL	fork<>(SB)
	CBZ	R0, parent
	NEG	R0, R23				// the batch's process group
	MOVD	$260, R8			// wait4(-1, NULL, 0, NULL)
	MOVD	$-1, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$0, R3
	SVC
reaped:
	// kill(-group, 0) finds zombies too, so this waits until the last one is
	// reaped.
	MOVD	$129, R8
	MOVD	R23, R0
	MOVD	$0, R1
	SVC
	CMN	$3, R0				// ESRCH
	BEQ	next
	MOVD	$100000, R0			// 100 microseconds
	MOVD	ZR, 32(R20)
	MOVD	R0, 40(R20)
	MOVD	$101, R8			// nanosleep(&time, NULL)
	ADD	$32, R20, R0
	MOVD	$0, R1
	SVC
	B	reaped
next:
	SUBS	$1, R21
	BNE	batch
done:
	BL	note<>(SB)
	BL	record<>(SB)

wait:
	MOVD	$137, R8			// rt_sigtimedwait(&set, NULL, NULL, 8)
	ADD	$16, R20, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$8, R3
	SVC
	CMP	$10, R0				// anything else: stopped and continued
	BNE	wait
	B	done

parent:						// has a batch of children and exits
	MOVD	$154, R8			// setpgid(0, 0)
	MOVD	$0, R0
	MOVD	$0, R1
	SVC
	MOVD	BATCH, R22
child:
	BL	fork<>(SB)
	CBZ	R0, end
	SUBS	$1, R22
	BNE	child
end:
	MOVD	$0, R0
	B	exit<>(SB)

sleepers:
	MOVD	BATCH, R22
	MUL	R22, R21
sleeper:
	BL	fork<>(SB)
	CBZ	R0, wait
	SUBS	$1, R21
	BNE	sleeper
	B	done

execute:					// with the signal mask that it got
	BL	record<>(SB)
	MOVD	24(R19), R0			// execve(argv[2], argv+2, envp)
	ADD	$24, R19, R1
	MOVD	(R19), R2
	ADD	R2<<3, R19, R2
	ADD	$16, R2
	MOVD	$221, R8
	SVC
	MOVD	$99, R0
	B	exit<>(SB)

// note writes the time to the record.
TEXT note<>(SB),NOSPLIT|NOFRAME,$0
	MOVD	$113, R8			// clock_gettime(CLOCK_MONOTONIC, record)
	MOVD	$1, R0
	MOVD	R20, R1
	SVC
	RET

TEXT record<>(SB),NOSPLIT|NOFRAME,$0
	MOVD	$64, R8				// write(1, record, 16)
	MOVD	$1, R0
	MOVD	R20, R1
	MOVD	$16, R2
	SVC
	RET

// fork returns 0 in R0 in the child. If it fails, the program exits.
TEXT fork<>(SB),NOSPLIT|NOFRAME,$0
	MOVD	$220, R8			// clone(SIGCHLD, NULL, ...)
	MOVD	$17, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	SVC
	TBNZ	$63, R0, refused
	RET
refused:
	MOVD	$98, R0
	B	exit<>(SB)

TEXT exit<>(SB),NOSPLIT|NOFRAME,$0
	MOVD	$93, R8
	SVC
	BRK
