// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func pointers() (handler, restore uint64)
TEXT ·pointers(SB),NOSPLIT,$0-16
	LEAQ	handler<>(SB), AX
	MOVQ	AX, handler+0(FP)
	LEAQ	restore<>(SB), AX
	MOVQ	AX, restore+8(FP)
	RET

// handler is called by the kernel as void(int sig DI, siginfo_t *info SI, void *context),
// on the thread's alternate stack, with every signal blocked. rt_sigreturn puts
// all registers back, so none has to be kept.
TEXT handler<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	DI, R12
	MOVL	DI, CX
	DECL	CX				// its bit

	// A fault of our own (SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV with a
	// si_code of the kernel's): back to the default and return into it again.
	MOVL	8(SI), R9
	CMPL	R9, $0
	JLE	sent
	MOVL	$0x4D8, R8
	BTL	CX, R8
	JCS	fault
sent:
	CMPL	R9, $-6				// SI_TKILL
	JEQ	own
forward:
	LOCK
	BTSQ	CX, ·seen(SB)
	LEAQ	·table(SB), R8
	MOVBLZX	(R8)(R12*1), SI
	TESTL	SI, SI
	JZ	done
	MOVL	·target(SB), DI
	TESTL	DI, DI
	JNZ	kill
	LOCK
	BTSQ	CX, ·held(SB)
	// The target may have come in between: whoever clears the bit sends it.
	MOVL	·target(SB), DI
	TESTL	DI, DI
	JZ	done
	LOCK
	BTRQ	CX, ·held(SB)
	JCC	done
kill:
	MOVL	·pidfd(SB), AX
	TESTL	AX, AX
	JGE	bound
	MOVL	$62, AX				// kill(target, table[sig])
	SYSCALL
	RET
bound:
	MOVL	AX, DI
	XORL	DX, DX
	XORL	R10, R10
	MOVL	$424, AX			// pidfd_send_signal(pidfd, table[sig], NULL, 0)
	SYSCALL
done:
	RET
own:
	// From our own process it is Go's runtime. SIGURG would preempt a goroutine,
	// which no code here needs. With any other signal the runtime was about to end
	// us when the handler changed, and sends it once more: the end (128+n).
	MOVL	$39, AX				// getpid(), which loses CX
	SYSCALL
	CMPL	AX, 16(SI)			// si_pid
	LEAL	-1(R12), CX
	JNE	forward
	CMPL	R12, $23			// SIGURG
	JEQ	done
	LEAL	128(R12), DI
	MOVL	$231, AX			// exit_group(128+sig)
	SYSCALL
	INT	$3
fault:
	SUBQ	$32, SP
	XORL	AX, AX
	MOVQ	AX, 0(SP)			// SIG_DFL
	MOVQ	AX, 8(SP)
	MOVQ	AX, 16(SP)
	MOVQ	AX, 24(SP)
	MOVL	R12, DI
	MOVQ	SP, SI
	XORL	DX, DX
	MOVL	$8, R10
	MOVL	$13, AX				// rt_sigaction(sig, &default, NULL, 8)
	SYSCALL
	ADDQ	$32, SP
	RET

TEXT restore<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	$15, AX				// rt_sigreturn()
	SYSCALL
	INT	$3
