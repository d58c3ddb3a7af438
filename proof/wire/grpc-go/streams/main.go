// Streams of small messages, as fast as grpc-go exchanges them: what its interop programs have no case of.
//
//	grpc-go-streams ADDRESS echo COUNT BYTES      one call of COUNT messages, each of which comes back before the next goes
//	grpc-go-streams ADDRESS refused CALLS BYTES   so many calls at a time stream to a method that isn't served, and an echo beside them lives on
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const (
	echoPath    = "/flyball.wire.Streams/Echo"
	refusedPath = "/flyball.wire.Streams/Refused"
)

// Messages are bytes as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(message any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*message.(*[]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, message any) error {
	*message.(*[]byte) = data.Materialize()
	return nil
}

func main() {
	address, what := os.Args[1], os.Args[2]
	count, size := number(os.Args[3]), number(os.Args[4])
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	message := make([]byte, size)
	echo, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, echoPath)
	check(err)
	if what == "echo" {
		for range count {
			exchange(echo, message)
		}
		return
	}
	exchange(echo, message)
	ended := make(chan error, count)
	for range count {
		go func() { ended <- refused(ctx, connection, message) }()
	}
	for range count {
		if err := <-ended; status.Code(err) != codes.Unimplemented {
			check(fmt.Errorf("a call that nobody serves ended with %w", err))
		}
	}
	exchange(echo, message)
}

func exchange(stream grpc.ClientStream, message []byte) {
	var back []byte
	// The reason why nothing can be sent is what comes back.
	if err := stream.SendMsg(&message); err != nil {
		check(stream.RecvMsg(&back))
	}
	check(stream.RecvMsg(&back))
	if len(back) != len(message) {
		check(fmt.Errorf("%d bytes came back of %d", len(back), len(message)))
	}
}

// Sends until it hears that nobody listens.
func refused(ctx context.Context, connection *grpc.ClientConn, message []byte) error {
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, refusedPath)
	if err != nil {
		return err
	}
	for stream.SendMsg(&message) == nil {
	}
	var back []byte
	return stream.RecvMsg(&back)
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
