// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"
)

// Bounds of hunt.
const (
	seekersReady = 2 // started, not yet of the other user

	// Seekers that come back at once keep a sweep by user from its end. They wait
	// for the next stage, which comes after the sweep, or for so long, which is
	// longer than a sweep sleeps between two looks. Some come early, so that
	// they see the fork.
	waitLong  = 400 * time.Millisecond
	waitShort = 10 * time.Millisecond
	early     = 8 // one in so many waits is short
)

// huntReady is what a seeker prints when it could begin.
const huntReady = "ready"

// hunt keeps programs of another user alive that seek secrets in other
// processes: seek.go. It is root itself, so that a sweep by user spares it. The
// sweep before each launch ends the seekers, and a program takes some
// milliseconds to start, which is longer than a launch stage lives. So hunt
// starts them beforehand, as root, and lets them change their user when the
// stage is there. It runs until it is ended.
func hunt(args []string) error {
	uid, err := number(args[0])
	if err != nil {
		return err
	}
	ready := make(chan *seeker, seekersReady)
	failed := make(chan error, 1)
	go func() {
		for {
			s, err := startSeeker(args)
			if err != nil {
				failed <- err
				return
			}
			ready <- s
		}
	}()
	go func() { failed <- waves(uint32(uid), ready) }()
	return <-failed
}

// waves lets a seeker and a bait live together until one of them is ended, and
// then ends the other, again and again.
func waves(uid uint32, ready <-chan *seeker) error {
	b, err := newHolder(uid)
	if err != nil {
		return err
	}
	pause := waitShort
	for {
		s := <-ready
		waitForStage(pause)
		s.turn.Close()
		p, err := b.start()
		if err != nil {
			return err
		}
		endTogether(s.process, p)
		if pause = waitLong; rand.N(early) == 0 {
			pause = rand.N(waitShort)
		}
	}
}

// endTogether waits until one of two processes has ended, ends the other, and
// reaps both.
func endTogether(a, b *os.Process) {
	ended := make(chan struct{}, 2)
	for _, p := range []*os.Process{a, b} {
		go func() {
			_, _ = p.Wait()
			ended <- struct{}{}
		}()
	}
	<-ended
	_, _ = a.Kill(), b.Kill()
	<-ended
}

// waitForStage returns when there is a launch stage, or when the time is over.
func waitForStage(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return
		}
		for _, e := range entries {
			line, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
			if strings.HasPrefix(string(line), stageName) {
				return
			}
		}
	}
}

// seeker is a started one.
type seeker struct {
	process *os.Process
	turn    *os.File // a closed pipe is its turn
}

// startSeeker starts one and waits until it is ready.
func startSeeker(args []string) (*seeker, error) {
	wait, turn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer wait.Close()
	said, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer said.Close()
	defer say.Close()
	p, err := os.StartProcess("/proc/self/exe", append([]string{"demotools", "seek"}, args...), &os.ProcAttr{
		Env: []string{}, Files: []*os.File{wait, say, os.Stderr},
	})
	if err != nil {
		return nil, err
	}
	say.Close()
	if line, err := bufio.NewReader(said).ReadString('\n'); err != nil || line != huntReady+"\n" {
		return nil, fmt.Errorf("a seeker said %q: %w", line, err)
	}
	return &seeker{p, turn}, nil
}

// holder is a program of that user that holds three secrets as a launch stage
// could: in a variable, in a file of root with mode 0400 that it has open, and
// in a memfd. They show that the seekers work. SEEK_BAIT has the secrets, with
// blanks between them.
type holder struct {
	uid      uint32
	variable string
	files    []*os.File
}

func newHolder(uid uint32) (*holder, error) {
	var secret [3]string
	if n, err := fmt.Sscan(os.Getenv(baitEnv), &secret[0], &secret[1], &secret[2]); err != nil {
		return nil, fmt.Errorf("cannot read %s: it has %d words and not 3: %w", baitEnv, n, err)
	}
	file, err := os.CreateTemp("/tmp", "bait-")
	if err != nil {
		return nil, err
	}
	if _, err := file.WriteString(secret[1]); err != nil {
		return nil, err
	}
	if err := file.Chmod(0o400); err != nil {
		return nil, err
	}
	memory, err := memfd(secret[2])
	return &holder{uid, baitEnv + "=" + secret[0], []*os.File{file, memory}}, err
}

func (b *holder) start() (*os.Process, error) {
	return os.StartProcess("/proc/self/exe", []string{"demotools", "sleep", "3600"}, &os.ProcAttr{
		Env: []string{b.variable}, Files: append([]*os.File{os.Stdin, os.Stdout, os.Stderr}, b.files...),
		Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: b.uid, Gid: b.uid}},
	})
}
