// SPDX-License-Identifier: Apache-2.0

package supervisor

// requestState is how far the request in progress is.
type requestState uint8

// The states.
const (
	requestIdle          requestState = iota // no request is in progress
	requestProbing                           // a probe waits for the proof
	requestChecking                          // a start proves the gateway that runs
	requestRecovering                        // a recover proves the gateway that runs
	requestAwaitingStart                     // it waits for the first proof of a gateway that starts
	requestAwaitingStop                      // it waits until the gateway is gone
	requestStates
)

// outcome is something that can decide the request in progress.
type outcome uint8

// The outcomes. A result is the result of a proof that the request asked for.
const (
	outcomeProven      outcome = iota // result: the proof held
	outcomeUnknown                    // result: it is not known whether the gateway serves
	outcomeDown                       // result: the gateway definitely does not serve
	outcomeDownForGood                // result: the same, for the last time that a recover asks
	outcomeReady                      // the gateway that starts was proven
	outcomeFailed                     // the start failed, or the gateway has ended
	outcomeReplaced                   // the gateway is being replaced, and no result will come
	outcomeStopped                    // the gateway is gone, as requested
	outcomeSuperseded                 // a later stop comes first
	outcomeShutdown                   // the container ends
	outcomeTerminated                 // the container has ended
	outcomes
)

// decision is what an outcome means for the request in progress: an answer, or a wish
// to the gateway or the prover.
type decision uint8

// The decisions.
const (
	wait             decision = iota // the outcome does not concern the request
	answerOK                         // complete ok
	answerRunning                    // complete already-running
	answerStopped                    // complete stopped
	answerFailed                     // failed, with the reason of the outcome
	answerSuperseded                 // failed superseded
	answerShutdown                   // failed shutting-down
	wishProof                        // prove the gateway again, after a pause
	wishStart                        // start the gateway
	wishRestart                      // replace the gateway
)

type requestCell struct {
	next     requestState
	decision decision
}

// requestTable has a cell for each outcome in each state. A request that is answered
// is over. The row of idle is empty: outcomes that no request waits for.
var requestTable = [requestStates][outcomes]requestCell{
	requestProbing: {
		outcomeProven: {requestIdle, answerOK}, outcomeUnknown: {requestIdle, answerFailed},
		outcomeDown: {requestIdle, answerFailed}, outcomeDownForGood: {requestIdle, answerFailed},
		outcomeReady: {requestProbing, wait}, outcomeFailed: {requestIdle, answerFailed},
		outcomeReplaced: {requestProbing, wait}, outcomeStopped: {requestProbing, wait},
		outcomeSuperseded: {requestProbing, wait}, outcomeShutdown: {requestIdle, answerShutdown},
		outcomeTerminated: {requestIdle, answerShutdown},
	},
	requestChecking: {
		outcomeProven: {requestIdle, answerRunning}, outcomeUnknown: {requestIdle, answerFailed},
		outcomeDown: {requestIdle, answerFailed}, outcomeDownForGood: {requestIdle, answerFailed},
		outcomeReady: {requestChecking, wait}, outcomeFailed: {requestAwaitingStart, wishStart},
		outcomeReplaced: {requestAwaitingStart, wait}, outcomeStopped: {requestChecking, wait},
		outcomeSuperseded: {requestChecking, wait}, outcomeShutdown: {requestIdle, answerShutdown},
		outcomeTerminated: {requestIdle, answerShutdown},
	},
	requestRecovering: {
		outcomeProven: {requestIdle, answerRunning}, outcomeUnknown: {requestIdle, answerFailed},
		outcomeDown: {requestRecovering, wishProof}, outcomeDownForGood: {requestAwaitingStart, wishRestart},
		outcomeReady: {requestRecovering, wait}, outcomeFailed: {requestAwaitingStart, wishStart},
		outcomeReplaced: {requestAwaitingStart, wait}, outcomeStopped: {requestRecovering, wait},
		outcomeSuperseded: {requestRecovering, wait}, outcomeShutdown: {requestIdle, answerShutdown},
		outcomeTerminated: {requestIdle, answerShutdown},
	},
	requestAwaitingStart: {
		outcomeProven: {requestAwaitingStart, wait}, outcomeUnknown: {requestAwaitingStart, wait},
		outcomeDown: {requestAwaitingStart, wait}, outcomeDownForGood: {requestAwaitingStart, wait},
		outcomeReady: {requestIdle, answerOK}, outcomeFailed: {requestIdle, answerFailed},
		outcomeReplaced: {requestAwaitingStart, wait}, outcomeStopped: {requestAwaitingStart, wait},
		outcomeSuperseded: {requestIdle, answerSuperseded}, outcomeShutdown: {requestIdle, answerShutdown},
		outcomeTerminated: {requestIdle, answerShutdown},
	},
	requestAwaitingStop: {
		outcomeProven: {requestAwaitingStop, wait}, outcomeUnknown: {requestAwaitingStop, wait},
		outcomeDown: {requestAwaitingStop, wait}, outcomeDownForGood: {requestAwaitingStop, wait},
		outcomeReady: {requestAwaitingStop, wait}, outcomeFailed: {requestAwaitingStop, wait},
		outcomeReplaced: {requestAwaitingStop, wait}, outcomeStopped: {requestIdle, answerStopped},
		outcomeSuperseded: {requestAwaitingStop, wait}, outcomeShutdown: {requestAwaitingStop, wait},
		outcomeTerminated: {requestIdle, answerShutdown},
	},
}
