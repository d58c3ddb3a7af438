// The four kinds of calls, by dubbo-go, of a service without any instances to find: proof/wire/dubbo-go/streams.proto.
//
//	streams serve PORT      serves it at 127.0.0.1, and says "ready"
//	streams call ADDRESS    calls it there, and says what came of each kind, a line each
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	_ "dubbo.apache.org/dubbo-go/v3/imports"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	"dubbo.apache.org/dubbo-go/v3/server"

	"flyball/foreign/peer"
)

const service = "flyball.streams.v1.Streams"

type text = wrapperspb.StringValue

func main() {
	if len(os.Args) != 3 {
		peer.Fail(errors.New("streams serve PORT, or streams call ADDRESS"))
	}
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "call":
		call(os.Args[2])
	default:
		peer.Fail(fmt.Errorf("%s is neither serve nor call", os.Args[1]))
	}
}

// Streams is exported because dubbo-go finds its methods by reflection.
type Streams struct{}

// Handler is what dubbo-go holds Streams against.
type Handler interface {
	Say(context.Context, *text) (*text, error)
	Join(context.Context, *triple_protocol.ClientStream) (*text, error)
	Split(context.Context, *text, *triple_protocol.ServerStream) error
	Echo(context.Context, *triple_protocol.BidiStream) error
}

// Say answers the text, and "!"; "fail" fails.
func (*Streams) Say(_ context.Context, request *text) (*text, error) {
	if request.Value == "fail" {
		return nil, failure()
	}
	return wrapperspb.String(request.Value + "!"), nil
}

// Join answers all texts, with commas.
func (*Streams) Join(_ context.Context, stream *triple_protocol.ClientStream) (*text, error) {
	var texts []string
	for stream.Receive(new(text)) {
		value := stream.Msg().(*text).Value
		if value == "fail" {
			return nil, failure()
		}
		texts = append(texts, value)
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	return wrapperspb.String(strings.Join(texts, ",")), nil
}

// Split answers the texts between the commas.
func (*Streams) Split(_ context.Context, request *text, stream *triple_protocol.ServerStream) error {
	for _, part := range strings.Split(request.Value, ",") {
		if part == "fail" {
			return failure()
		}
		if err := stream.Send(wrapperspb.String(part)); err != nil {
			return err
		}
	}
	return nil
}

// Echo answers each text and "!", as it comes.
func (*Streams) Echo(_ context.Context, stream *triple_protocol.BidiStream) error {
	for {
		request := new(text)
		if err := stream.Receive(request); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if request.Value == "fail" {
			return failure()
		}
		if err := stream.Send(wrapperspb.String(request.Value + "!")); err != nil {
			return err
		}
	}
}

func failure() error {
	return triple_protocol.NewError(triple_protocol.CodeAborted, errors.New("it was meant to fail"))
}

func serve(portText string) {
	port, err := strconv.Atoi(portText)
	if err != nil {
		peer.Fail(err)
	}
	srv, err := server.NewServer(server.WithServerProtocol(protocol.WithTriple(), protocol.WithIp("127.0.0.1"), protocol.WithPort(port)))
	if err != nil {
		peer.Fail(err)
	}
	if err := srv.Register(&Streams{}, &serviceInfo); err != nil {
		peer.Fail(err)
	}
	fmt.Println("ready")
	peer.Fail(srv.Serve())
}

var serviceInfo = common.ServiceInfo{
	InterfaceName: service,
	ServiceType:   (*Handler)(nil),
	Methods: []common.MethodInfo{
		{
			Name:        "Say",
			Type:        constant.CallUnary,
			ReqInitFunc: func() any { return new(text) },
			MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
				return response(handler.(Handler).Say(ctx, args[0].(*text)))
			},
		},
		{
			Name:           "Join",
			Type:           constant.CallClientStream,
			StreamInitFunc: func(stream any) any { return stream },
			MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
				return response(handler.(Handler).Join(ctx, args[0].(*triple_protocol.ClientStream)))
			},
		},
		{
			Name:           "Split",
			Type:           constant.CallServerStream,
			ReqInitFunc:    func() any { return new(text) },
			StreamInitFunc: func(stream any) any { return stream },
			MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
				return nil, handler.(Handler).Split(ctx, args[0].(*text), args[1].(*triple_protocol.ServerStream))
			},
		},
		{
			Name:           "Echo",
			Type:           constant.CallBidiStream,
			StreamInitFunc: func(stream any) any { return stream },
			MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
				return nil, handler.(Handler).Echo(ctx, args[0].(*triple_protocol.BidiStream))
			},
		},
	},
}

func response(reply *text, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return triple_protocol.NewResponse(reply), nil
}

func call(address string) {
	cli, err := client.NewClient(client.WithClientNoCheck(), client.WithClientProtocolTriple(), client.WithClientRequestTimeout(10*time.Second))
	if err != nil {
		peer.Fail(err)
	}
	info := client.ClientInfo{
		InterfaceName:        service,
		MethodNames:          []string{"Say", "Join", "Split", "Echo"},
		ConnectionInjectFunc: func(any, *client.Connection) {},
	}
	conn, err := cli.DialWithInfo(service, &info, client.WithURL("tri://"+address))
	if err != nil {
		peer.Fail(err)
	}
	caller := &caller{conn}
	for _, kind := range []struct {
		name string
		ask  func(...string) (string, error)
	}{{"Say", caller.say}, {"Join", caller.join}, {"Split", caller.split}, {"Echo", caller.echo}} {
		for _, texts := range [][]string{{"one", "two", "three"}, {"one", "fail"}} {
			answer, err := kind.ask(texts...)
			if err != nil {
				answer += " " + triple_protocol.CodeOf(err).String()
			}
			fmt.Printf("%s %s: %s\n", kind.name, strings.Join(texts, ","), answer)
		}
	}
}

type caller struct {
	conn *client.Connection
}

// say says the last of them.
func (c *caller) say(texts ...string) (string, error) {
	reply := new(text)
	err := c.conn.CallUnary(context.Background(), []any{wrapperspb.String(texts[len(texts)-1])}, reply, "Say")
	return reply.Value, err
}

func (c *caller) join(texts ...string) (string, error) {
	raw, err := c.conn.CallClientStream(context.Background(), "Join")
	if err != nil {
		return "", err
	}
	stream := raw.(*triple_protocol.ClientStreamForClient)
	for _, each := range texts {
		if err := stream.Send(wrapperspb.String(each)); err != nil {
			return "", err
		}
	}
	reply := triple_protocol.NewResponse(new(text))
	if err := stream.CloseAndReceive(reply); err != nil {
		return "", err
	}
	return reply.Msg.(*text).Value, nil
}

func (c *caller) split(texts ...string) (string, error) {
	raw, err := c.conn.CallServerStream(context.Background(), wrapperspb.String(strings.Join(texts, ",")), "Split")
	if err != nil {
		return "", err
	}
	stream := raw.(*triple_protocol.ServerStreamForClient)
	var answers []string
	for stream.Receive(new(text)) {
		answers = append(answers, stream.Msg().(*text).Value)
	}
	return strings.Join(answers, "|"), stream.Err()
}

// echo says each when the one before has been answered.
func (c *caller) echo(texts ...string) (string, error) {
	raw, err := c.conn.CallBidiStream(context.Background(), "Echo")
	if err != nil {
		return "", err
	}
	stream := raw.(*triple_protocol.BidiStreamForClient)
	var answers []string
	for _, each := range texts {
		if err := stream.Send(wrapperspb.String(each)); err != nil {
			return strings.Join(answers, "|"), err
		}
		answer := new(text)
		if err := stream.Receive(answer); err != nil {
			return strings.Join(answers, "|"), err
		}
		answers = append(answers, answer.Value)
	}
	if err := stream.CloseRequest(); err != nil {
		return strings.Join(answers, "|"), err
	}
	if err := stream.Receive(new(text)); !errors.Is(err, io.EOF) {
		return strings.Join(answers, "|"), fmt.Errorf("after the end: %w", err)
	}
	return strings.Join(answers, "|"), nil
}
