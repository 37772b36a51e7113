// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func pointers() (handler, restore uint64)
TEXT ·pointers(SB),NOSPLIT,$0-16
	MOVD	$handler<>(SB), R0
	MOVD	R0, handler+0(FP)
	MOVD	$restore<>(SB), R0
	MOVD	R0, restore+8(FP)
	RET

// handler is called by the kernel as void(int sig R0, siginfo_t *info R1, void *context R2)
// on the thread's alternate stack, with every signal blocked. rt_sigreturn puts
// all registers back, so none has to be kept but LR, which leads there.
TEXT handler<>(SB),NOSPLIT|NOFRAME,$0
	MOVW	R0, R9
	SUB	$1, R9, R10
	MOVD	$1, R11
	LSL	R10, R11, R11			// its bit

	// A fault of our own (SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV with a
	// si_code of the kernel's): back to the default and return into it again.
	MOVW	8(R1), R4
	CMPW	$0, R4
	BLE	sent
	MOVD	$0x4D8, R5
	TST	R11, R5
	BNE	fault
sent:
	CMNW	$6, R4				// SI_TKILL
	BEQ	own
forward:
	MOVD	$·seen(SB), R6
seen:
	LDAXR	(R6), R7
	ORR	R11, R7, R7
	STLXR	R7, (R6), R8
	CBNZ	R8, seen
	MOVD	$·table(SB), R6
	ADD	R9, R6, R6
	MOVBU	(R6), R12
	CBZ	R12, done
	MOVD	$·target(SB), R13
	LDARW	(R13), R0
	CBNZW	R0, kill
	MOVD	$·held(SB), R6
hold:
	LDAXR	(R6), R7
	ORR	R11, R7, R7
	STLXR	R7, (R6), R8
	CBNZ	R8, hold
	// The target may have come in between: whoever clears the bit sends it.
	DMB	$0xb				// ish
	LDARW	(R13), R0
	CBZW	R0, done
take:
	LDAXR	(R6), R7
	TST	R11, R7
	BEQ	done
	BIC	R11, R7, R7
	STLXR	R7, (R6), R8
	CBNZ	R8, take
kill:
	MOVD	R12, R1
	MOVW	·pidfd(SB), R4
	TBZ	$31, R4, bound
	SXTW	R0, R0
	MOVD	$129, R8			// kill(target, table[sig])
	SVC
	RET
bound:
	MOVD	R4, R0
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$424, R8			// pidfd_send_signal(pidfd, table[sig], NULL, 0)
	SVC
done:
	RET
own:
	// From our own process it is Go's runtime. SIGURG would preempt a goroutine,
	// which no code here needs. With any other signal the runtime was about to end
	// us when the handler changed, and sends it once more: the end (128+n).
	MOVD	$172, R8			// getpid()
	SVC
	MOVW	16(R1), R4			// si_pid
	CMPW	R0, R4
	BNE	forward
	CMPW	$23, R9				// SIGURG
	BEQ	done
	ADD	$128, R9, R0
	MOVD	$94, R8				// exit_group(128+sig)
	SVC
	BRK
fault:
	SUB	$32, RSP
	STP	(ZR, ZR), 0(RSP)		// SIG_DFL
	STP	(ZR, ZR), 16(RSP)
	MOVD	R9, R0
	MOVD	RSP, R1
	MOVD	$0, R2
	MOVD	$8, R3
	MOVD	$134, R8			// rt_sigaction(sig, &default, NULL, 8)
	SVC
	ADD	$32, RSP
	RET

TEXT restore<>(SB),NOSPLIT|NOFRAME,$0
	MOVD	$139, R8			// rt_sigreturn()
	SVC
	BRK
