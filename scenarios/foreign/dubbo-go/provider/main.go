// A provider that dubbo-go serves: it answers who it is. Ends gracefully on SIGTERM.
//
//	GROUP          the service that it provides: a Dubbo group of the interface
//	IP, PORT       what it registers and listens at
//	INSTANCE       its name in its answers (default IP:PORT)
//	WEIGHT         (default: none is written)
//	PARAMETERS     what else it registers: "region=r1,zone=a"
//	WARM_UP        over which its share grows (default: dubbo-go's)
//	CALLS_PER_SECOND  what its limiter lets through (default: no limiter)
//	SERVICE_TIME   mean of an exponential distribution (default 0)
//	ERROR_RATE     share of the calls that fail (default 0)
//	ERROR_CODE     their gRPC status; 17 is what a plain error becomes (default 14, UNAVAILABLE)
//
// and what peer.NewInstance reads.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"syscall"
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/metrics"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	"dubbo.apache.org/dubbo-go/v3/server"

	"flyball/foreign/peer"
	"flyball/foreign/worker"
)

// Provider is exported because dubbo-go finds its methods by reflection.
type Provider struct {
	instance    string
	serviceTime time.Duration
	errorRate   float64
	errorCode   triple_protocol.Code
}

// Do works for a while, and fails or answers.
func (p *Provider) Do(ctx context.Context, request *worker.DoRequest) (*worker.DoReply, error) {
	if p.serviceTime > 0 {
		select {
		case <-time.After(time.Duration(rand.ExpFloat64() * float64(p.serviceTime))):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if p.errorRate > 0 && rand.Float64() < p.errorRate {
		failure := errors.New("this call was meant to fail")
		if p.errorCode == triple_protocol.CodeBizError {
			return nil, failure
		}
		return nil, triple_protocol.NewError(p.errorCode, failure)
	}
	return &worker.DoReply{Instance: p.instance, Payload: request.Payload}, nil
}

func main() {
	ip, port := peer.Text("IP", "127.0.0.1"), int(peer.Number("PORT", 20880))
	instance, err := peer.NewInstance(
		dubbo.WithProtocol(protocol.WithTriple(), protocol.WithIp(ip), protocol.WithPort(port)),
		dubbo.WithMetrics(metrics.WithProbeEnabled(), metrics.WithProbePort(probePort)),
	)
	if err != nil {
		peer.Fail(err)
	}
	srv, err := instance.NewServer()
	if err != nil {
		peer.Fail(err)
	}
	provider := &Provider{
		instance:    peer.Text("INSTANCE", fmt.Sprintf("%s:%d", ip, port)),
		serviceTime: peer.Duration("SERVICE_TIME", 0),
		errorRate:   peer.Number("ERROR_RATE", 0),
		errorCode:   triple_protocol.Code(peer.Number("ERROR_CODE", float64(triple_protocol.CodeUnavailable))),
	}
	opts := []server.ServiceOption{server.WithGroup(peer.Text("GROUP", ""))}
	if weight := peer.Text("WEIGHT", ""); weight != "" {
		opts = append(opts, server.WithParam("weight", weight))
	}
	if tag := peer.Text("TAG", ""); tag != "" {
		opts = append(opts, server.WithTag(tag))
	}
	for key, value := range peer.Pairs("PARAMETERS") {
		opts = append(opts, server.WithParam(key, value))
	}
	if warmUp := peer.Duration("WARM_UP", 0); warmUp > 0 {
		opts = append(opts, server.WithWarmUp(warmUp))
	}
	if rate := peer.Number("CALLS_PER_SECOND", 0); rate > 0 {
		opts = append(opts,
			server.WithTpsLimiter("method-service"), server.WithTpsLimitRate(int(rate)), server.WithTpsLimitStrategy("slidingWindow"),
			// There is no option for it.
			func(opts *server.ServiceOptions) { opts.Service.TpsLimitInterval = "1000" },
		)
	}
	if err := worker.Register(srv, provider, opts...); err != nil {
		peer.Fail(err)
	}
	go sayReady()
	serve(srv.Serve)
}

// serve begins anew for a while when it can't register: dubbo-go gives up when Nacos's client hasn't got its connection yet. A second try in the
// same process finds the service exported already, and is refused.
func serve(try func() error) {
	err := try()
	if err == nil {
		return
	}
	until, unset := time.Parse(time.RFC3339, os.Getenv("SERVE_UNTIL"))
	if unset != nil {
		until = time.Now().Add(45 * time.Second)
		os.Setenv("SERVE_UNTIL", until.Format(time.RFC3339))
	}
	own, missing := os.Executable()
	if missing != nil || time.Now().After(until) {
		peer.Fail(err)
	}
	fmt.Println(err)
	time.Sleep(500 * time.Millisecond)
	peer.Fail(syscall.Exec(own, os.Args, os.Environ()))
}

// dubbo-go's own readiness probe: it turns true once everything is exported and registered.
const probePort = 22222

// sayReady prints a line when it is.
func sayReady() {
	for {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", probePort))
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				fmt.Println("ready")
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}
