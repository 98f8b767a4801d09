package main

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The Security Token Service: keys for a role, for callers with other keys or with a token of the cluster. The other APIs accept these keys
// until they expire.
func (s *service) tokenService(w http.ResponseWriter, r *http.Request, body []byte, now settings) {
	form, _ := url.ParseQuery(string(body))
	operation := form.Get("Action")
	refused := s.switches.injected(operation)
	role := now.Roles[form.Get("RoleArn")]
	denied := &apiError{Type: "AccessDenied", Message: "not authorized to perform sts:" + operation, Status: 403}
	switch {
	case refused != nil:
	case operation == "AssumeRole":
		_, refused = checkSignature(r, body, scope{"sts", now.clock()}, s.keys(now))
		if refused == nil && (role == nil || role.ExternalID != form.Get("ExternalId")) {
			refused = denied
		}
	case operation == "AssumeRoleWithWebIdentity":
		token := form.Get("WebIdentityToken")
		if slices.Contains(now.ExpiredWebTokens, token) {
			refused = &apiError{Type: "ExpiredTokenException", Message: "Token expired: current date/time must be before the expiration date/time"}
		} else if role == nil {
			refused = denied
		} else if !slices.Contains(role.WebTokens, token) {
			refused = &apiError{Type: "InvalidIdentityToken", Message: "No OpenIDConnect provider found in your account for this token"}
		}
	default:
		refused = &apiError{Type: "InvalidAction", Message: "Could not find operation " + operation}
	}
	if refused != nil {
		s.calls.add(operation + ":" + refused.Type)
		refuseXML(w, *refused)
		return
	}
	s.calls.add(operation)
	name := form.Get("RoleSessionName")
	id, secret := s.mint(name, now.clock().Add(time.Duration(now.CredentialsMs)*time.Millisecond))
	type credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
	type user struct{ AssumedRoleId, Arn string }
	type result struct {
		XMLName         xml.Name
		Credentials     credentials
		AssumedRoleUser user
	}
	arn := strings.Replace(form.Get("RoleArn"), ":iam:", ":sts:", 1)
	arn = strings.Replace(arn, ":role/", ":assumed-role/", 1) + "/" + name
	expiration := s.keys(now)[id].expires.UTC().Format(time.RFC3339)
	answerXML(w, struct {
		XMLName xml.Name
		Result  result
	}{
		xml.Name{Space: "https://sts.amazonaws.com/doc/2011-06-15/", Local: operation + "Response"},
		result{xml.Name{Local: operation + "Result"}, credentials{id, secret, "token-of-" + id, expiration}, user{"AROAEXAMPLE:" + name, arn}},
	})
}

// mint makes keys that are accepted until they expire.
func (s *service) mint(name string, expires time.Time) (id, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.ToUpper(strings.ReplaceAll(idText(newID()), "-", ""))
	id, secret = "ASIA"+text[:16], idText(newID())
	s.minted[id] = key{Secret: secret, Token: "token-of-" + id, User: name, expires: expires}
	return id, secret
}

// keys returns all that are accepted now: those of the switches, and those that were issued.
func (s *service) keys(now settings) map[string]key {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]key{}
	for id, key := range now.Keys {
		all[id] = key
	}
	for id, key := range s.minted {
		all[id] = key
	}
	return all
}
