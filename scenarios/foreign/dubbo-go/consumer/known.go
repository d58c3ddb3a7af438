package main

import (
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/cluster/router"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"

	"flyball/foreign/worker"
)

// known are the providers of the service that dubbo-go knows of, whatever rules say of them: a router that routes nothing hears of
// each list. It makes itself, since there is one reference only.
type known struct {
	mu        sync.Mutex
	addresses []string
}

const knownRouter = "flyball-known"

// lacks answers the names of those that it doesn't know of though somebody listens there, in order. `providers` are addresses by name.
func (k *known) lacks(providers map[string]string) []string {
	k.mu.Lock()
	addresses := k.addresses
	k.mu.Unlock()
	names := []string{}
	for name, address := range providers {
		if !slices.Contains(addresses, address) && listens(address) {
			names = append(names, name+" at "+address)
		}
	}
	slices.Sort(names)
	return names
}

// listens: who is down needn't be known.
func listens(address string) bool {
	connection, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

// NewPriorityRouter makes none for the references that dubbo-go has of its own, as for metadata.
func (k *known) NewPriorityRouter(url *common.URL) (router.PriorityRouter, error) {
	if url.SubURL == nil || url.SubURL.Service() != worker.Interface {
		return nil, nil
	}
	return k, nil
}

func (k *known) Notify(invokers []base.Invoker) {
	addresses := make([]string, len(invokers))
	for i, invoker := range invokers {
		addresses[i] = invoker.GetURL().Location
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.addresses = addresses
}

func (*known) Route(invokers []base.Invoker, _ *common.URL, _ base.Invocation) []base.Invoker {
	return invokers
}

func (*known) URL() *common.URL { return nil }

// Priority is the last: what comes after a router can't use the addresses that dubbo-go has sorted beforehand.
func (*known) Priority() int64 { return math.MaxInt64 }
