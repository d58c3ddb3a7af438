// What protoc-gen-go-triple would generate for worker.proto's unary method: the plugin isn't to be had everywhere, and this is all
// that it comes to.
package worker

import (
	"context"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"
	"dubbo.apache.org/dubbo-go/v3/server"
)

// Interface is the name under which the service is registered and called.
const Interface = "flyball.worker.v1.Worker"

// Handler does the work.
type Handler interface {
	Do(context.Context, *DoRequest) (*DoReply, error)
}

// Register exports a handler. Its type must be exported too: dubbo-go finds its methods by reflection.
func Register(srv *server.Server, handler Handler, opts ...server.ServiceOption) error {
	return srv.Register(handler, &serviceInfo, opts...)
}

// Client calls the service.
type Client struct {
	conn *client.Connection
}

// NewClient looks the service up.
func NewClient(cli *client.Client, opts ...client.ReferenceOption) (*Client, error) {
	conn, err := cli.DialWithInfo(Interface, &clientInfo, opts...)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn}, nil
}

// Do makes one call, with whatever the cluster strategy makes of it.
func (c *Client) Do(ctx context.Context, request *DoRequest) (*DoReply, error) {
	reply := new(DoReply)
	if err := c.conn.CallUnary(ctx, []any{request}, reply, "Do"); err != nil {
		return nil, err
	}
	return reply, nil
}

var clientInfo = client.ClientInfo{
	InterfaceName: Interface,
	MethodNames:   []string{"Do"},
	ConnectionInjectFunc: func(raw any, conn *client.Connection) {
		raw.(*Client).conn = conn
	},
}

var serviceInfo = common.ServiceInfo{
	InterfaceName: Interface,
	ServiceType:   (*Handler)(nil),
	Methods: []common.MethodInfo{
		{
			Name:        "Do",
			Type:        constant.CallUnary,
			ReqInitFunc: func() any { return new(DoRequest) },
			MethodFunc: func(ctx context.Context, args []any, handler any) (any, error) {
				reply, err := handler.(Handler).Do(ctx, args[0].(*DoRequest))
				if err != nil {
					return nil, err
				}
				return triple_protocol.NewResponse(reply), nil
			},
		},
	},
}
