// One side of the bench `wire` over dubbo-go's Triple: dubbo server, or dubbo client ADDRESS.
package main

import (
	"context"
	"net"
	"os"
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"dubbo.apache.org/dubbo-go/v3/logger"
	"dubbo.apache.org/dubbo-go/v3/protocol"

	"flyball/bench/window"
	"flyball/foreign/worker"
)

// Provider is exported because dubbo-go finds its methods by reflection.
type Provider struct{}

// Do echoes the payload.
func (*Provider) Do(_ context.Context, request *worker.DoRequest) (*worker.DoReply, error) {
	return &worker.DoReply{Instance: "workers/0", Payload: request.Payload}, nil
}

func main() {
	if os.Args[1] == "server" {
		serve()
	} else {
		drive(os.Args[2])
	}
}

func newInstance(opts ...dubbo.InstanceOption) *dubbo.Instance {
	instance, err := dubbo.NewInstance(append(opts, dubbo.WithName("bench"), dubbo.WithLogger(logger.WithLevel("error")))...)
	if err != nil {
		window.Fail(err)
	}
	return instance
}

func serve() {
	address := freeAddress()
	server, err := newInstance(dubbo.WithProtocol(
		protocol.WithTriple(), protocol.WithIp(address.IP.String()), protocol.WithPort(address.Port),
	)).NewServer()
	if err != nil {
		window.Fail(err)
	}
	if err := worker.Register(server, &Provider{}); err != nil {
		window.Fail(err)
	}
	go func() { window.Fail(server.Serve()) }()
	untilListening(address.String())
	window.Serve(address.String())
}

// freeAddress is one that nobody listens at: dubbo-go can't be asked which port it got.
func freeAddress() *net.TCPAddr {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		window.Fail(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr)
}

func untilListening(address string) {
	for {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			_ = connection.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func drive(address string) {
	cli, err := newInstance().NewClient(client.WithClientNoCheck(), client.WithClientRequestTimeout(10*time.Second))
	if err != nil {
		window.Fail(err)
	}
	stub, err := worker.NewClient(cli, client.WithURL("tri://"+address))
	if err != nil {
		window.Fail(err)
	}
	ctx := context.WithValue(context.Background(), constant.AttachmentKey, map[string]any{
		"dubbo.tag": "gray", "x-request": "7f3a", "x-tenant": "acme",
	})
	window.Drive(func(payload string) error {
		_, err := stub.Do(ctx, &worker.DoRequest{Key: "k", Payload: payload})
		return err
	})
}
