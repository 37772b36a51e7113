// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// The system call number is in AX, arguments in DI, SI, DX, R10. CX and R11 are
// lost. At entry SP points to argc, argv, NULL, envp, NULL.

#define BATCH $500

// func start()
TEXT ·start(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, R15				// argc
	SUBQ	$64, SP				// 0: timespec, 16: signal set, 32: time to sleep
	CALL	note<>(SB)

	MOVQ	(R15), R14			// batches: argc-1
	DECQ	R14
	JZ	block
	MOVQ	16(R15), AX			// argv[1][0]
	MOVBLZX	(AX), AX
	CMPL	AX, $120			// x
	JEQ	execute
block:
	MOVQ	$0x200, 16(SP)			// SIGUSR1
	MOVL	$14, AX				// rt_sigprocmask(SIG_BLOCK, &set, NULL, 8)
	XORL	DI, DI
	LEAQ	16(SP), SI
	XORL	DX, DX
	MOVL	$8, R10
	SYSCALL

	CALL	record<>(SB)
	TESTQ	R14, R14
	JZ	wait
	MOVQ	16(R15), AX
	MOVBLZX	(AX), AX
	CMPL	AX, $115			// s
	JEQ	sleepers

batch:
	CALL	fork<>(SB)
	JZ	parent
	NEGQ	AX
	MOVQ	AX, R12				// the batch's process group
	MOVL	$61, AX				// wait4(-1, NULL, 0, NULL)
	MOVQ	$-1, DI
	XORL	SI, SI
	XORL	DX, DX
	XORL	R10, R10
	SYSCALL
reaped:
	// kill(-group, 0) finds zombies too, so this waits until the last one is
	// reaped.
	MOVL	$62, AX
	MOVQ	R12, DI
	XORL	SI, SI
	SYSCALL
	CMPQ	AX, $-3				// ESRCH
	JEQ	next
	MOVQ	$0, 32(SP)
	MOVQ	$100000, 40(SP)			// 100 microseconds
	MOVL	$35, AX				// nanosleep(&time, NULL)
	LEAQ	32(SP), DI
	XORL	SI, SI
	SYSCALL
	JMP	reaped
next:
	DECQ	R14
	JNZ	batch
done:
	CALL	note<>(SB)
	CALL	record<>(SB)

wait:
	MOVL	$128, AX			// rt_sigtimedwait(&set, NULL, NULL, 8)
	LEAQ	16(SP), DI
	XORL	SI, SI
	XORL	DX, DX
	MOVL	$8, R10
	SYSCALL
	CMPQ	AX, $10				// anything else: stopped and continued
	JNE	wait
	JMP	done

parent:						// has a batch of children and exits
	MOVL	$109, AX			// setpgid(0, 0)
	XORL	DI, DI
	XORL	SI, SI
	SYSCALL
	MOVL	BATCH, R13
child:
	CALL	fork<>(SB)
	JZ	end
	DECL	R13
	JNZ	child
end:
	MOVL	$60, AX				// exit(0)
	XORL	DI, DI
	SYSCALL
	INT	$3

sleepers:
	IMULQ	BATCH, R14
sleeper:
	CALL	fork<>(SB)
	JZ	wait
	DECQ	R14
	JNZ	sleeper
	JMP	done

execute:					// with the signal mask that it got
	CALL	record<>(SB)
	MOVL	$59, AX				// execve(argv[2], argv+2, envp)
	MOVQ	24(R15), DI
	LEAQ	24(R15), SI
	MOVQ	(R15), DX
	LEAQ	16(R15)(DX*8), DX
	SYSCALL
	MOVL	$60, AX				// exit(99)
	MOVL	$99, DI
	SYSCALL
	INT	$3

// note writes the time to the caller's record.
TEXT note<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	$228, AX			// clock_gettime(CLOCK_MONOTONIC, record)
	MOVL	$1, DI
	LEAQ	8(SP), SI
	SYSCALL
	RET

TEXT record<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	$1, AX				// write(1, record, 16)
	MOVL	$1, DI
	LEAQ	8(SP), SI
	MOVL	$16, DX
	SYSCALL
	RET

// fork sets ZF in the child. If it fails, the program exits.
TEXT fork<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	$57, AX				// fork()
	SYSCALL
	TESTQ	AX, AX
	JS	refused
	RET
refused:
	MOVL	$60, AX				// exit(98)
	MOVL	$98, DI
	SYSCALL
	INT	$3
