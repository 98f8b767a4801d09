package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

const region = "eu-west-1"

// The JSON API of Systems Manager, as far as a tunnel uses it.
func (s *service) api(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	now := s.switches.get()
	now.stamp(w)
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSSM.")
	if refused := checkSignature(r, body, "ssm", region, now); refused != nil {
		s.calls.add(operation + ":" + refused.Type)
		refuse(w, *refused)
		return
	}
	s.calls.add(operation)
	if injected, ok := now.Errors[operation]; ok {
		refuse(w, injected)
		return
	}
	var in struct {
		Target, DocumentName, Reason, SessionId string
		Parameters                              map[string][]string
		Filters                                 []struct {
			Key    string
			Values []string
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		refuse(w, apiError{"ValidationException", err.Error(), 400})
		return
	}
	switch operation {
	case "StartSession":
		s.startSession(w, now, in.Target, in.DocumentName, in.Reason, in.Parameters)
	case "ResumeSession":
		session := s.session(in.SessionId)
		if session == nil {
			refuse(w, apiError{"DoesNotExistException", "Session " + in.SessionId + " does not exist", 400})
			return
		}
		session.touch()
		answer(w, s.ticket(session))
	case "TerminateSession":
		if session := s.session(in.SessionId); session != nil {
			session.end("")
		}
		answer(w, map[string]string{"SessionId": in.SessionId})
	case "DescribeSessions":
		s.describeSessions(w)
	case "GetConnectionStatus":
		status := "notconnected"
		if now.Nodes[in.Target].Connected {
			status = "connected"
		}
		answer(w, map[string]string{"Target": in.Target, "Status": status})
	case "DescribeInstanceInformation":
		list := []map[string]any{}
		for id, node := range now.Nodes {
			fits := true
			for _, filter := range in.Filters {
				tag := strings.TrimPrefix(filter.Key, "tag:")
				fits = fits && len(filter.Values) == 1 && node.Tags[tag] == filter.Values[0]
			}
			if fits {
				list = append(list, map[string]any{"InstanceId": id, "PingStatus": "Online"})
			}
		}
		answer(w, map[string]any{"InstanceInformationList": list})
	default:
		refuse(w, apiError{"UnknownOperationException", operation, 400})
	}
}

func (s *service) startSession(w http.ResponseWriter, now settings, target, document, reason string, parameters map[string][]string) {
	if !now.Nodes[target].Connected {
		refuse(w, apiError{"TargetNotConnected", target + " is not connected.", 400})
		return
	}
	if document != "AWS-StartPortForwardingSession" && document != "AWS-StartPortForwardingSessionToRemoteHost" {
		refuse(w, apiError{"InvalidDocument", "Document with name " + document + " does not exist.", 400})
		return
	}
	for name, values := range parameters {
		if len(values) != 1 || (name != "portNumber" && name != "localPortNumber" && name != "host") {
			refuse(w, apiError{"BadRequest", "parameter " + name, 400})
			return
		}
	}
	host := ""
	if document == "AWS-StartPortForwardingSessionToRemoteHost" {
		host = "localhost"
		if given := parameters["host"]; len(given) == 1 {
			host = given[0]
		}
	}
	port := "80"
	if given := parameters["portNumber"]; len(given) == 1 {
		port = given[0]
	}
	answer(w, s.ticket(s.newSession(target, reason, host, port)))
}

func (s *service) describeSessions(w http.ResponseWriter) {
	list := []map[string]any{}
	s.mu.Lock()
	for _, session := range s.sessions {
		list = append(list, map[string]any{
			"SessionId": session.id, "Target": session.target, "Reason": session.reason, "Status": "Connected",
			"StartDate": float64(session.started.UnixMilli()) / 1000,
		})
	}
	s.mu.Unlock()
	answer(w, map[string]any{"Sessions": list})
}

// A ticket is good for one socket, for 30 s.
func (s *service) ticket(session *session) map[string]string {
	token := "AAEAA" + idText(newID())
	s.mu.Lock()
	s.tokens[token] = ticket{session, time.Now().Add(30 * time.Second)}
	s.mu.Unlock()
	return map[string]string{
		"SessionId":  session.id,
		"TokenValue": token,
		// As the real one: with a plus and a slash that are not encoded.
		"StreamUrl": s.channels + "/v1/data-channel/" + session.id + "?role=publish_subscribe&cell-number=AAEAATf2ktZ+bscwVmuW/VyDagnC+CEq3",
	}
}

func answer(w http.ResponseWriter, content any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(content)
}

func refuse(w http.ResponseWriter, e apiError) {
	if e.Status == 0 {
		e.Status = 400
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": e.Type, "message": e.Message})
}
