// One side of the bench `wire` over grpc-go: grpc server, or grpc client ADDRESS.
package main

import (
	"context"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"flyball/bench/window"
	"flyball/foreign/worker"
)

const path = "/" + worker.Interface + "/Do"

func main() {
	if os.Args[1] == "server" {
		serve()
	} else {
		drive(os.Args[2])
	}
}

func serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		window.Fail(err)
	}
	server := grpc.NewServer()
	server.RegisterService(&description, struct{}{})
	go func() { window.Fail(server.Serve(listener)) }()
	window.Serve(listener.Addr().String())
}

// What protoc-gen-go-grpc would generate for the unary method.
var description = grpc.ServiceDesc{
	ServiceName: worker.Interface,
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Do",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			request := new(worker.DoRequest)
			if err := decode(request); err != nil {
				return nil, err
			}
			return &worker.DoReply{Instance: "workers/0", Payload: request.Payload}, nil
		},
	}},
}

func drive(address string) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		window.Fail(err)
	}
	window.Drive(func(payload string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ctx = metadata.AppendToOutgoingContext(ctx, "dubbo.tag", "gray", "x-request", "7f3a", "x-tenant", "acme")
		return connection.Invoke(ctx, path, &worker.DoRequest{Key: "k", Payload: payload}, new(worker.DoReply))
	})
}
