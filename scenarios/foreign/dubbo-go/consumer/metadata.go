package main

import (
	"context"
	"fmt"
	"net"

	"dubbo.apache.org/dubbo-go/v3/client"
	tripleapi "dubbo.apache.org/dubbo-go/v3/metadata/triple_api/proto"

	"flyball/foreign/peer"
)

const metadataService = "org.apache.dubbo.metadata.MetadataServiceV2"

// metadataOf asks an instance what it offers, as a consumer does that finds it registered at application level.
//
//	METADATA_PORT  where the instance's host answers such questions, over Triple (default: where it works)
//	REVISION       whose metadata each call is for (default "unknown": one that nobody has)
func metadataOf(cli *client.Client, address, application string) (func(context.Context) (string, error), error) {
	if address == "" {
		return nil, fmt.Errorf("ASK=metadata needs a call that succeeds first: READY_WITHIN must not be 0")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	info := client.ClientInfo{
		InterfaceName:        metadataService,
		MethodNames:          []string{"GetMetadataInfo"},
		ConnectionInjectFunc: func(any, *client.Connection) {},
	}
	conn, err := cli.DialWithInfo(
		metadataService, &info,
		client.WithURL("tri://"+net.JoinHostPort(host, peer.Text("METADATA_PORT", port))), client.WithGroup(application), client.WithVersion("2.0.0"),
		client.WithRetries(0), client.WithFilter(attemptsFilter),
	)
	if err != nil {
		return nil, err
	}
	request := &tripleapi.MetadataRequest{Revision: peer.Text("REVISION", "unknown")}
	return func(ctx context.Context) (string, error) {
		reply := new(tripleapi.MetadataInfoV2)
		if err := conn.CallUnary(ctx, []any{request}, reply, "GetMetadataInfo"); err != nil {
			return "", err
		}
		return reply.App, nil
	}, nil
}
