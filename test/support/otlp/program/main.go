// Reads traces as the OpenTelemetry Collector does. On standard input it gets a JSON list of bodies, each a text as a receiver got it;
// it prints a JSON list of the spans that the Collector takes from them.
package main

import (
	"encoding/json"
	"log"
	"os"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

type event struct {
	Name       string         `json:"name"`
	At         string         `json:"at"`
	Attributes map[string]any `json:"attributes"`
}

type span struct {
	Resource   map[string]any `json:"resource"`
	Scope      string         `json:"scope"`
	TraceID    string         `json:"traceId"`
	SpanID     string         `json:"spanId"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Begun      string         `json:"begun"`
	Ended      string         `json:"ended"`
	Attributes map[string]any `json:"attributes"`
	Events     []event        `json:"events"`
	Status     string         `json:"status"`
	Message    string         `json:"message"`
}

func main() {
	var bodies []string
	check(json.NewDecoder(os.Stdin).Decode(&bodies))
	spans := []span{}
	for _, body := range bodies {
		traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(body))
		check(err)
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, each := range scope.Spans().All() {
					read := reading(each)
					read.Resource = resource.Resource().Attributes().AsRaw()
					read.Scope = scope.Scope().Name()
					spans = append(spans, read)
				}
			}
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(spans))
}

func reading(from ptrace.Span) span {
	events := []event{}
	for _, each := range from.Events().All() {
		events = append(events, event{each.Name(), instant(each.Timestamp()), each.Attributes().AsRaw()})
	}
	return span{
		TraceID:    from.TraceID().String(),
		SpanID:     from.SpanID().String(),
		Name:       from.Name(),
		Kind:       from.Kind().String(),
		Begun:      instant(from.StartTimestamp()),
		Ended:      instant(from.EndTimestamp()),
		Attributes: from.Attributes().AsRaw(),
		Events:     events,
		Status:     from.Status().Code().String(),
		Message:    from.Status().Message(),
	}
}

func instant(at pcommon.Timestamp) string {
	return at.AsTime().Format(time.RFC3339Nano)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
