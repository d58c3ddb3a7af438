// Package peer holds what provider and consumer have in common: settings from the environment, and a dubbo-go instance made of them.
package peer

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/logger"
	"dubbo.apache.org/dubbo-go/v3/otel/trace"
	"dubbo.apache.org/dubbo-go/v3/registry"

	_ "dubbo.apache.org/dubbo-go/v3/imports"
)

// Text reads an environment variable; empty counts as absent.
func Text(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// Number reads an environment variable. What isn't a number ends the process.
func Number(name string, fallback float64) float64 {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		Fail(fmt.Errorf("%s=%s is no number", name, text))
	}
	return value
}

// Duration reads an environment variable such as "250ms". What isn't a duration ends the process.
func Duration(name string, fallback time.Duration) time.Duration {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		Fail(fmt.Errorf("%s=%s is no duration", name, text))
	}
	return value
}

// Pairs reads an environment variable such as "region=r1,zone=a".
func Pairs(name string) map[string]string {
	pairs := map[string]string{}
	for _, pair := range strings.Split(os.Getenv(name), ",") {
		if key, value, isPair := strings.Cut(pair, "="); isPair {
			pairs[key] = value
		}
	}
	return pairs
}

// Fail says why, and ends the process.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// NewInstance makes a dubbo-go instance of the environment:
//
//	APPLICATION       its name; an application-level registration is found by it
//	REGISTRY          zookeeper://host:port or nacos://host:port?namespace=NAME
//	REGISTRATION      interface, application (default) or all
//	METADATA          where an application-level registration says what it offers: remote (default) is the registry, local is itself, by
//	                  METADATA_PROTOCOL, dubbo (default) or tri, at METADATA_PORT (default: any)
//	SESSION_TIMEOUT   ZooKeeper's (default 2s); SESSION_TIMEOUT_BY says how it is set: parameter (default), which has an effect, or option
//	CONFIG_CENTER     where rules come from, as REGISTRY (default none)
//	OTLP              host:port of an OTLP/HTTP collector (default: no traces)
//	TAG               the instance's tag (default none)
func NewInstance(opts ...dubbo.InstanceOption) (*dubbo.Instance, error) {
	opts = append(opts,
		dubbo.WithName(Text("APPLICATION", "dubbo-go")),
		dubbo.WithRegistry(registryOptions(Text("REGISTRY", "zookeeper://127.0.0.1:2181"))...),
		dubbo.WithLogger(logger.WithLevel(Text("LOG", "warn"))),
	)
	if center := Text("CONFIG_CENTER", ""); center != "" {
		opts = append(opts, dubbo.WithConfigCenter(configCenterOptions(center)...))
	}
	if Text("METADATA", "remote") == "remote" {
		opts = append(opts, dubbo.WithRemoteMetadata())
	}
	if protocol := Text("METADATA_PROTOCOL", ""); protocol != "" {
		opts = append(opts, dubbo.WithMetadataServiceProtocol(protocol))
	}
	if port := Number("METADATA_PORT", 0); port > 0 {
		opts = append(opts, dubbo.WithMetadataServicePort(int(port)))
	}
	if tag := Text("TAG", ""); tag != "" {
		opts = append(opts, dubbo.WithTag(tag))
	}
	if collector := Text("OTLP", ""); collector != "" {
		opts = append(opts, dubbo.WithTracing(
			trace.WithEnabled(), trace.WithOtlpHttpExporter(), trace.WithEndpoint(collector), trace.WithInsecure(),
			trace.WithW3cPropagator(), trace.WithAlwaysMode(),
		))
	}
	return dubbo.NewInstance(opts...)
}

func registryOptions(text string) []registry.Option {
	at := parsed(text)
	opts := []registry.Option{
		registry.WithRegistry(at.Scheme),
		registry.WithAddress(text[:strings.Index(text, "://")+3] + at.Host),
	}
	// Nacos's client writes files, by default into the working directory.
	parameters := map[string]string{constant.NacosLogDirKey: os.TempDir(), constant.NacosCacheDirKey: os.TempDir()}
	timeout := Duration("SESSION_TIMEOUT", 2*time.Second)
	if at.Scheme == "zookeeper" && Text("SESSION_TIMEOUT_BY", "parameter") == "parameter" {
		// Its ZooKeeper client looks for the config centre's timeout (remoting/zookeeper/client.go), and takes 5 s without it.
		parameters[constant.ConfigTimeoutKey] = timeout.String()
	} else if at.Scheme == "zookeeper" {
		opts = append(opts, registry.WithTimeout(timeout))
	}
	opts = append(opts, registry.WithParams(parameters))
	if namespace := at.Query().Get("namespace"); namespace != "" {
		opts = append(opts, registry.WithNamespace(namespace))
	}
	switch level := Text("REGISTRATION", "application"); level {
	case "interface":
		return append(opts, registry.WithRegisterInterface())
	case "application":
		return append(opts, registry.WithRegisterService())
	case "all":
		return append(opts, registry.WithRegisterServiceAndInterface())
	default:
		Fail(fmt.Errorf("REGISTRATION=%s is none of interface, application, all", level))
		return nil
	}
}

func configCenterOptions(text string) []config_center.Option {
	at := parsed(text)
	opts := []config_center.Option{
		config_center.WithConfigCenter(at.Scheme),
		config_center.WithAddress(at.Host),
		config_center.WithGroup("dubbo"),
		// A configuration of its own that it reads at the start; there is none.
		config_center.WithDataID("flyball-" + Text("APPLICATION", "dubbo-go")),
	}
	if namespace := at.Query().Get("namespace"); namespace != "" {
		opts = append(opts, config_center.WithNamespace(namespace))
	}
	return opts
}

func parsed(text string) *url.URL {
	at, err := url.Parse(text)
	if err != nil || at.Host == "" {
		Fail(fmt.Errorf("%s is no URL such as zookeeper://127.0.0.1:2181", text))
	}
	return at
}

// ReferenceOptions makes a reference's options of the environment:
//
//	GROUP              the service to call: a Dubbo group of the interface
//	CLUSTER            failover (default), failfast, …
//	LOAD_BALANCE       random (default), roundrobin, leastactive, interleavedweightedroundrobin, …
//	RETRIES            attempts after the first (default 2)
//	TIMEOUT            of an attempt (default 1s)
//	PARAMETERS         what else it says of itself to rules: "region=r1,zone=a"
func ReferenceOptions() []client.ReferenceOption {
	opts := []client.ReferenceOption{
		client.WithGroup(Text("GROUP", "")),
		client.WithCluster(Text("CLUSTER", "failover")),
		client.WithLoadBalance(Text("LOAD_BALANCE", "random")),
		client.WithRetries(int(Number("RETRIES", 2))),
		client.WithRequestTimeout(Duration("TIMEOUT", time.Second)),
	}
	for key, value := range Pairs("PARAMETERS") {
		opts = append(opts, client.WithParam(key, value))
	}
	return opts
}
