// Package window is a peer's side of the bench `wire`, the same as wire-peer.ts's: it reads what to measure as lines of JSON, and answers
// each with one.
package window

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

type order struct {
	Bytes    int `json:"bytes"`
	InFlight int `json:"inFlight"`
	WindowMs int `json:"windowMs"`
}

type report struct {
	Calls int64 `json:"calls"`
	// CPU of this process: since the window began, or since it was started.
	CPUUs int64 `json:"cpuUs"`
}

// Serve says where it listens, and from then on what its process has used whenever it is asked; it returns when nobody asks any more.
func Serve(address string) {
	say(address)
	each(func(order) report { return report{CPUUs: cpuUs()} })
}

// Drive makes calls while a window is open, so many at a time.
func Drive(call func(payload string) error) {
	say("ready")
	each(func(o order) report {
		payload := strings.Repeat("x", o.Bytes)
		before, until := cpuUs(), time.Now().Add(time.Duration(o.WindowMs)*time.Millisecond)
		var calls atomic.Int64
		var callers sync.WaitGroup
		for range o.InFlight {
			callers.Go(func() {
				for time.Now().Before(until) {
					if err := call(payload); err != nil {
						Fail(err)
					}
					calls.Add(1)
				}
			})
		}
		callers.Wait()
		return report{Calls: calls.Load(), CPUUs: cpuUs() - before}
	})
}

// Fail ends the process: a call that fails makes its figures worthless.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func each(answer func(order) report) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			Fail(err)
		}
		say(answer(o))
	}
}

func say(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		Fail(err)
	}
	fmt.Println(string(line))
}

func cpuUs() int64 {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		Fail(err)
	}
	return (used.Utime.Nano() + used.Stime.Nano()) / 1000
}
