// A consumer that calls through dubbo-go, and says what it saw. It is driven as a consumer of the fleet's own is, by lines of JSON
// (services/control.ts): it reads `drive` and `collect`, and answers with `records`, `driven` and `collected`. The first line that
// it prints is "ready", once a call has succeeded and dubbo-go knows of all PROVIDERS.
//
// It reads what peer.NewInstance and peer.ReferenceOptions read, and
//
//	ASK            what it calls: work (default), or the metadata of one of the service's instances (metadata.go)
//	CALL_TAG       the request tag (dubbo.tag) of every call (default none)
//	CLIENT_TIMEOUT the same as TIMEOUT for all references of a client (default TIMEOUT: a reference's own has no effect)
//	PROVIDERS      whom dubbo-go has to know of by then, where they listen: "orders/0=10.1.2.3:9000,orders/1=10.1.2.4:9000" (default nobody)
//	READY_WITHIN   time that both may take; 0 waits for neither (default 20s)
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/cluster/router"
	// The only router that isn't among its imports.
	_ "dubbo.apache.org/dubbo-go/v3/cluster/router/affinity"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
	"dubbo.apache.org/dubbo-go/v3/filter"
	"dubbo.apache.org/dubbo-go/v3/protocol/base"
	"dubbo.apache.org/dubbo-go/v3/protocol/result"
	"dubbo.apache.org/dubbo-go/v3/protocol/triple/triple_protocol"

	"flyball/foreign/peer"
	"flyball/foreign/worker"
)

// event is a call.begin or a call.end of runtime/telemetry/events.ts.
type event struct {
	Type     string     `json:"type"`
	AtUs     int64      `json:"atUs"`
	Call     int64      `json:"call"`
	Service  string     `json:"service,omitempty"`
	Method   string     `json:"method,omitempty"`
	DueUs    *int64     `json:"dueUs,omitempty"`
	Tag      string     `json:"tag,omitempty"`
	Code     string     `json:"code,omitempty"`
	Message  string     `json:"message,omitempty"`
	Attempts *[]attempt `json:"attempts,omitempty"`
}

// attempt is one try at one address.
type attempt struct {
	Instance string `json:"instance"`
	BeginUs  int64  `json:"beginUs"`
	EndUs    int64  `json:"endUs"`
	Code     string `json:"code"`
}

type message struct {
	Type  string `json:"type"`
	Drive struct {
		StartUs int64   `json:"startUs"`
		DueUs   []int64 `json:"dueUs"`
	} `json:"drive"`
}

// answerLine is what it says; a line of the protocol begins with its type.
type answerLine struct {
	Type   string  `json:"type"`
	Events []event `json:"events,omitempty"`
}

func main() {
	extension.SetFilter(attemptsFilter, func() filter.Filter { return &attempts{} })
	known := &known{}
	extension.SetRouterFactory(knownRouter, func() router.PriorityRouterFactory { return known })
	instance, err := peer.NewInstance()
	if err != nil {
		peer.Fail(err)
	}
	cli, err := instance.NewClient(client.WithClientNoCheck(), client.WithClientRequestTimeout(peer.Duration("CLIENT_TIMEOUT", peer.Duration("TIMEOUT", time.Second))))
	if err != nil {
		peer.Fail(err)
	}
	stub, err := worker.NewClient(cli, append(peer.ReferenceOptions(), client.WithFilter(attemptsFilter))...)
	if err != nil {
		peer.Fail(err)
	}
	c := &consumer{known: known, method: "Do", service: peer.Text("GROUP", worker.Interface), tag: peer.Text("CALL_TAG", "")}
	c.ask = func(ctx context.Context) (string, error) {
		reply, err := stub.Do(ctx, &worker.DoRequest{})
		if err != nil {
			return "", err
		}
		return reply.Instance, nil
	}
	address := c.untilReady(peer.Duration("READY_WITHIN", 45*time.Second))
	switch ask := peer.Text("ASK", "work"); ask {
	case "work":
	case "metadata":
		if c.ask, err = metadataOf(cli, address, c.service); err != nil {
			peer.Fail(err)
		}
		c.method = "GetMetadataInfo"
	default:
		peer.Fail(fmt.Errorf("ASK=%s is neither work nor metadata", ask))
	}
	go c.flushOften()
	fmt.Println("ready")
	c.obey()
}

const emptyReply = "the reply is empty"

type consumer struct {
	known *known
	// ask makes one call, and answers who did the work.
	ask     func(context.Context) (string, error)
	method  string
	service string
	tag     string

	mu     sync.Mutex
	calls  int64
	events []event
}

// untilReady calls until a call succeeds and all providers are known; it answers at which address the last call did.
func (c *consumer) untilReady(within time.Duration) string {
	providers := peer.Pairs("PROVIDERS")
	address, hasSucceeded := "", false
	for until := time.Now().Add(within); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		tries := &tries{}
		if _, err := c.ask(context.WithValue(c.context(), triesKey{}, tries)); err != nil {
			continue
		}
		hasSucceeded = true
		if all := tries.all(); len(all) > 0 {
			address = all[len(all)-1].Instance
		}
		if len(c.known.lacks(providers)) == 0 {
			return address
		}
	}
	why := []string{}
	if !hasSucceeded {
		why = append(why, fmt.Sprintf("no call of %s succeeded", c.service))
	}
	if names := c.known.lacks(providers); len(names) > 0 {
		why = append(why, fmt.Sprintf("dubbo-go doesn't know of %s: it was never told, or missed it", strings.Join(names, ", ")))
	}
	if within > 0 && len(why) > 0 {
		peer.Fail(fmt.Errorf("within %s: %s", within, strings.Join(why, "; ")))
	}
	return address
}

// obey does what the harness says, until it hangs up.
func (c *consumer) obey() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var order message
		if err := json.Unmarshal(lines.Bytes(), &order); err != nil {
			peer.Fail(err)
		}
		switch order.Type {
		case "drive":
			go c.drive(order.Drive.StartUs, order.Drive.DueUs)
		case "collect":
			c.say("collected")
		}
	}
}

// drive makes the calls, open loop: each begins when it is due, whatever became of those before.
func (c *consumer) drive(startUs int64, dueUs []int64) {
	var calls sync.WaitGroup
	for _, due := range dueUs {
		at := startUs + due
		time.Sleep(time.Duration(at-nowUs()) * time.Microsecond)
		calls.Go(func() { c.call(at) })
	}
	calls.Wait()
	c.say("driven")
}

func (c *consumer) call(dueUs int64) {
	c.mu.Lock()
	c.calls++
	number := c.calls
	c.events = append(c.events, event{
		Type: "call.begin", AtUs: nowUs(), Call: number, Service: c.service, Method: c.method, DueUs: &dueUs, Tag: c.tag,
	})
	c.mu.Unlock()

	tries := &tries{}
	instance, err := c.ask(context.WithValue(c.context(), triesKey{}, tries))
	attempts := tries.all()
	end := event{Type: "call.end", Call: number, Code: "OK", Attempts: &attempts}
	if err != nil {
		end.Code, end.Message = codeOf(err, attempts), firstLine(err)
	} else if instance == "" {
		// dubbo-go took it for a success: whoever looks at the reply sees that nobody did the work.
		end.Message = emptyReply
	}

	c.mu.Lock()
	end.AtUs = nowUs()
	c.events = append(c.events, end)
	c.mu.Unlock()
}

func (c *consumer) context() context.Context {
	if c.tag == "" {
		return context.Background()
	}
	return context.WithValue(context.Background(), constant.AttachmentKey, map[string]any{constant.Tagkey: c.tag})
}

// say answers, after everything that was recorded before.
func (c *consumer) say(answer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) > 0 {
		print(answerLine{Type: "records", Events: c.events})
		c.events = nil
	}
	if answer != "" {
		print(answerLine{Type: answer})
	}
}

func (c *consumer) flushOften() {
	for range time.Tick(100 * time.Millisecond) {
		c.say("")
	}
}

// print writes a line of JSON.
func print(document any) {
	line, err := json.Marshal(document)
	if err != nil {
		peer.Fail(err)
	}
	_, _ = os.Stdout.Write(append(line, '\n'))
}

// The harness's clock: CLOCK_MONOTONIC, which all processes of a machine share.
func nowUs() int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano() / 1000
}

// attempts is a filter below the cluster strategy: it sees each try.
type attempts struct{}

const attemptsFilter = "flyball-attempts"

type triesKey struct{}

// tries are those of one call; a forking cluster makes several at a time.
type tries struct {
	mu   sync.Mutex
	list []attempt
}

func (t *tries) all() []attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]attempt{}, t.list...)
}

func (*attempts) Invoke(ctx context.Context, invoker base.Invoker, invocation base.Invocation) result.Result {
	tries, _ := ctx.Value(triesKey{}).(*tries)
	// Later it may be gone: an invoker can be destroyed while it is used.
	location := invoker.GetURL().Location
	beginUs := nowUs()
	answer := invoker.Invoke(ctx, invocation)
	if tries != nil {
		code := "OK"
		if err := answer.Error(); err != nil {
			code = codeOf(err, nil)
		}
		tries.mu.Lock()
		tries.list = append(tries.list, attempt{location, beginUs, nowUs(), code})
		tries.mu.Unlock()
	}
	return answer
}

func (*attempts) OnResponse(_ context.Context, answer result.Result, _ base.Invoker, _ base.Invocation) result.Result {
	return answer
}

// codeOf names an error as gRPC does. What a cluster strategy says of its own has no code: without an attempt nobody could be
// called, else it is the last attempt's.
func codeOf(err error, attempts []attempt) string {
	if code := triple_protocol.CodeOf(err); code != triple_protocol.CodeUnknown {
		switch code {
		case triple_protocol.CodeBizError:
			return "UNKNOWN"
		case triple_protocol.CodeCanceled:
			return "CANCELLED"
		default:
			return strings.ToUpper(code.String())
		}
	}
	if len(attempts) > 0 {
		return attempts[len(attempts)-1].Code
	}
	if strings.Contains(err.Error(), "No provider") {
		return "UNAVAILABLE"
	}
	return "UNKNOWN"
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line[:min(len(line), 300)]
}
