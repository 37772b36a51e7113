// SPDX-License-Identifier: Apache-2.0

package control

import "slices"

// MaxWaiting is the number of requests that may wait. The next one is refused with
// queue-full.
const MaxWaiting = 256

// Job is one run for one or more identical requests.
type Job struct {
	Request
	Nonces []string // the requests to answer; Nonces[0] is Request.Nonce
}

// Queue holds the jobs that wait, in order. The job in progress is not in it,
// so it can never absorb a later request. The zero value is ready.
type Queue struct{ jobs []*Job }

// Len returns the number of requests that wait.
func (q *Queue) Len() int {
	n := 0
	for _, j := range q.jobs {
		n += len(j.Nonces)
	}
	return n
}

// Add appends r, or merges it with the last waiting job if that is identical. It
// does not merge r with an earlier job, because r would overtake the requests in
// between. It returns false if the queue is full.
func (q *Queue) Add(r Request) bool {
	if q.Len() >= MaxWaiting {
		return false
	}
	if n := len(q.jobs); n > 0 && q.jobs[n-1].isMergeable(r) {
		q.jobs[n-1].Nonces = append(q.jobs[n-1].Nonces, r.Nonce)
		return true
	}
	q.jobs = append(q.jobs, &Job{Request: r, Nonces: []string{r.Nonce}})
	return true
}

// Next removes and returns the first job, or returns nil if none waits.
func (q *Queue) Next() *Job {
	if len(q.jobs) == 0 {
		return nil
	}
	j := q.jobs[0]
	q.jobs = slices.Delete(q.jobs, 0, 1)
	return j
}

// TakeStop removes and returns the first stop, together with every job before it
// that wants the gateway running, because the stop supersedes those. Probes stay in
// the queue. stop is nil if none waits.
func (q *Queue) TakeStop() (stop *Job, superseded []*Job) {
	i := slices.IndexFunc(q.jobs, func(j *Job) bool { return j.Action == Stop })
	if i < 0 {
		return nil, nil
	}
	stop = q.jobs[i]
	rest := make([]*Job, 0, len(q.jobs))
	for k, j := range q.jobs {
		switch {
		case k == i:
		case k < i && j.Action != Probe && j.Action != Reload:
			superseded = append(superseded, j)
		default:
			rest = append(rest, j)
		}
	}
	q.jobs = rest
	return stop, superseded
}

// Has reports whether a request with the nonce waits.
func (q *Queue) Has(nonce string) bool {
	return slices.ContainsFunc(q.jobs, func(j *Job) bool { return j.Has(nonce) })
}

// Has reports whether the job answers the nonce.
func (j *Job) Has(nonce string) bool { return slices.Contains(j.Nonces, nonce) }
