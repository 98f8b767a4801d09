package main

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
)

const (
	region  = "eu-west-1"
	account = "123456789012"
)

// The AWS APIs that a tunnel uses, all at one address: Systems Manager (systems_manager.go), the Elastic Container Service
// (container_service.go) and the Security Token Service (token_service.go). A request is checked as AWS checks it: signature, then the
// faults of the switches, then its content.
func (s *service) api(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	now := s.switches.get()
	now.stamp(w)
	prefix, operation, found := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !found {
		s.tokenService(w, r, body, now)
		return
	}
	name := map[string]string{"AmazonSSM": "ssm", "AmazonEC2ContainerServiceV20141113": "ecs"}[prefix]
	caller, refused := checkSignature(r, body, scope{name, now.clock()}, s.keys(now))
	if refused == nil {
		refused = s.switches.injected(operation)
	}
	if refused != nil {
		s.calls.add(operation + ":" + refused.Type)
		refuse(w, *refused)
		return
	}
	s.calls.add(operation)
	if name == "ecs" {
		s.containerService(w, operation, body, now)
		return
	}
	s.systemsManager(w, operation, body, now, caller)
}

func answer(w http.ResponseWriter, content any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(content)
}

func refuse(w http.ResponseWriter, e apiError) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(e.status())
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": e.Type, "message": e.Message})
}

// The Security Token Service speaks XML.
func answerXML(w http.ResponseWriter, content any) {
	w.Header().Set("Content-Type", "text/xml")
	_ = xml.NewEncoder(w).Encode(content)
}

func refuseXML(w http.ResponseWriter, e apiError) {
	type detail struct{ Type, Code, Message string }
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(e.status())
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Error     detail
		RequestId string
	}{Error: detail{"Sender", e.Type, e.Message}, RequestId: idText(newID())})
}
