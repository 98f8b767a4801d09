package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The operations of Systems Manager that a tunnel uses, with every error that they declare.

type request struct {
	Target, DocumentName, Reason, SessionId, State, NextToken string
	MaxResults                                                *int
	Parameters                                                map[string][]string
	// DescribeInstanceInformation writes these with capitals, DescribeSessions without: JSON is read either way.
	Filters []struct {
		Key    string
		Values []string
		Value  string
	}
}

func (s *service) systemsManager(w http.ResponseWriter, operation string, body []byte, now settings, caller string) {
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		refuse(w, apiError{Type: "ValidationException", Message: err.Error()})
		return
	}
	var content any
	var refused *apiError
	switch operation {
	case "StartSession":
		content, refused = s.startSession(in, now, caller)
	case "ResumeSession":
		content, refused = s.resumeSession(in, now)
	case "TerminateSession":
		if session := s.session(in.SessionId); session != nil {
			session.end("")
		}
		content = map[string]string{"SessionId": in.SessionId}
	case "DescribeSessions":
		content, refused = s.describeSessions(in)
	case "GetConnectionStatus":
		status := "notconnected"
		if s.connected(in.Target, now) {
			status = "connected"
		}
		content = map[string]string{"Target": in.Target, "Status": status}
	case "DescribeInstanceInformation":
		content, refused = s.describeInstances(in, now)
	default:
		refused = &apiError{Type: "UnknownOperationException", Message: operation}
	}
	if refused != nil {
		refuse(w, *refused)
		return
	}
	answer(w, content)
}

func (s *service) startSession(in request, now settings, caller string) (any, *apiError) {
	if len(in.Target) < 1 || len(in.Target) > 400 || len(in.Reason) > 256 {
		return nil, &apiError{Type: "ValidationException", Message: "Target or Reason has a wrong length"}
	}
	if s.hurried(now.StartGapMs) {
		return nil, &apiError{Type: "ThrottlingException", Message: "Rate exceeded"}
	}
	if !s.connected(in.Target, now) {
		return nil, &apiError{Type: "TargetNotConnected", Message: in.Target + " is not connected."}
	}
	remote := in.DocumentName == "AWS-StartPortForwardingSessionToRemoteHost"
	if !remote && in.DocumentName != "AWS-StartPortForwardingSession" {
		return nil, &apiError{Type: "InvalidDocument", Message: "Document with name " + in.DocumentName + " does not exist."}
	}
	for name, values := range in.Parameters {
		known := name == "portNumber" || name == "localPortNumber" || (remote && name == "host")
		if len(values) != 1 || !known {
			return nil, &apiError{Type: "BadRequest", Message: "parameter " + name}
		}
	}
	given := func(name, otherwise string) string {
		if values := in.Parameters[name]; len(values) == 1 {
			return values[0]
		}
		return otherwise
	}
	host := ""
	if remote {
		host = given("host", "localhost")
	}
	session := s.newSession(start{in.Target, in.Reason, caller, host, given("portNumber", "80")})
	return s.ticket(session), nil
}

func (s *service) resumeSession(in request, now settings) (any, *apiError) {
	session := s.session(in.SessionId)
	if session == nil {
		return nil, &apiError{Type: "DoesNotExistException", Message: "Session " + in.SessionId + " does not exist"}
	}
	if now.NoResumeToken {
		return map[string]string{"SessionId": session.id}, nil
	}
	session.touch()
	return s.ticket(session), nil
}

func (s *service) describeSessions(in request) (any, *apiError) {
	if in.State != "Active" && in.State != "History" {
		return nil, &apiError{Type: "ValidationException", Message: "State must be Active or History"}
	}
	list := []map[string]any{}
	for _, session := range s.all() {
		fits := in.State == "Active"
		for _, filter := range in.Filters {
			switch filter.Key {
			case "Target":
				fits = fits && filter.Value == session.target
			case "Owner":
				fits = fits && filter.Value == session.ownerARN()
			case "Status":
				fits = fits && filter.Value == session.status()
			case "SessionId":
				fits = fits && filter.Value == session.id
			case "InvokedAfter", "InvokedBefore":
				at, err := time.Parse(time.RFC3339, filter.Value)
				fits = fits && err == nil && at.Before(session.started) == (filter.Key == "InvokedAfter")
			default:
				return nil, &apiError{Type: "InvalidFilterKey", Message: filter.Key}
			}
		}
		if fits {
			list = append(list, map[string]any{
				"SessionId": session.id, "Target": session.target, "Reason": session.reason, "Status": session.status(),
				"Owner": session.ownerARN(), "StartDate": float64(session.started.UnixMilli()) / 1000,
			})
		}
	}
	sort.Slice(list, func(a, b int) bool { return list[a]["SessionId"].(string) < list[b]["SessionId"].(string) })
	return page(in, list, "Sessions", 1, 200)
}

var (
	instanceID   = regexp.MustCompile(`^(i-[0-9a-f]{8,17}|mi-[0-9a-f]{17})$`)
	instanceKeys = []string{
		"InstanceIds", "AgentVersion", "PingStatus", "PlatformTypes", "ActivationIds", "IamRole", "ResourceType", "AssociationStatus", "tag-key",
	}
)

func (s *service) describeInstances(in request, now settings) (any, *apiError) {
	list := []map[string]any{}
	for id, node := range now.Nodes {
		status, version := "ConnectionLost", node.AgentVersion
		if s.connected(id, now) {
			status = "Online"
		}
		if version == "" {
			version = now.AgentVersion
		}
		fits := true
		for _, filter := range in.Filters {
			tag, tagged := strings.CutPrefix(filter.Key, "tag:")
			if !tagged && !slices.Contains(instanceKeys, filter.Key) {
				return nil, &apiError{Type: "InvalidFilterKey", Message: filter.Key}
			}
			if len(filter.Values) == 0 || slices.Contains(filter.Values, "") {
				return nil, &apiError{Type: "InvalidInstanceInformationFilterValue", Message: filter.Key}
			}
			found := map[string]string{"InstanceIds": id, "PingStatus": status, "AgentVersion": version}[filter.Key]
			if tagged {
				found = node.Tags[tag]
			}
			for _, value := range filter.Values {
				if filter.Key == "InstanceIds" && !instanceID.MatchString(value) {
					return nil, &apiError{Type: "InvalidInstanceId", Message: value}
				}
			}
			fits = fits && slices.Contains(filter.Values, found)
		}
		if fits {
			list = append(list, map[string]any{"InstanceId": id, "PingStatus": status, "AgentVersion": version})
		}
	}
	sort.Slice(list, func(a, b int) bool { return list[a]["InstanceId"].(string) < list[b]["InstanceId"].(string) })
	return page(in, list, "InstanceInformationList", 5, 50)
}

// page cuts a list into pages, as both Describe operations do; the token is where the next page begins.
func page(in request, list []map[string]any, name string, least, most int) (any, *apiError) {
	size, from := most, 0
	if in.MaxResults != nil {
		size = *in.MaxResults
	}
	if size < least || size > most {
		return nil, &apiError{Type: "ValidationException", Message: "MaxResults"}
	}
	if in.NextToken != "" {
		at, err := strconv.Atoi(strings.TrimPrefix(in.NextToken, "page-"))
		if err != nil || at <= 0 {
			return nil, &apiError{Type: "InvalidNextToken", Message: in.NextToken}
		}
		from = min(at, len(list))
	}
	to := min(from+size, len(list))
	out := map[string]any{name: list[from:to]}
	if to < len(list) {
		out["NextToken"] = "page-" + strconv.Itoa(to)
	}
	return out, nil
}

// A ticket is valid for one socket and a short time.
func (s *service) ticket(session *session) map[string]string {
	now := s.switches.get()
	expires := time.Now().Add(time.Duration(now.TokenMs) * time.Millisecond)
	if s.switches.spoils() {
		expires = time.Time{}
	}
	token := "AAEAA" + idText(newID())
	s.mu.Lock()
	s.tokens[token] = ticket{session, expires}
	s.mu.Unlock()
	return map[string]string{
		"SessionId":  session.id,
		"TokenValue": token,
		// Like the real one, with a plus and a slash that are not encoded.
		"StreamUrl": s.channels + "/v1/data-channel/" + session.id + "?role=publish_subscribe&cell-number=AAEAATf2ktZ+bscwVmuW/VyDagnC+CEq3",
	}
}
