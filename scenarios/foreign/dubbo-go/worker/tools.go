//go:build tools

package worker

import _ "google.golang.org/protobuf/cmd/protoc-gen-go"
