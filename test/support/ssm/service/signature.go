package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
)

// scope is what a signature must cover: the API, and the time by the service's clock.
type scope struct {
	service string
	now     time.Time
}

const dateForm = "20060102T150405Z"

// checkSignature returns who signed a request with Signature Version 4 in its headers; the error is the type in AWS's answer.
func checkSignature(r *http.Request, body []byte, wanted scope, keys map[string]key) (string, *apiError) {
	refused := func(kind, text string, words ...any) (string, *apiError) {
		return "", &apiError{Type: kind, Message: fmt.Sprintf(text, words...)}
	}
	fields := map[string]string{}
	rest, found := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !found {
		return refused("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	for _, part := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	signed := strings.Split(fields["Credential"], "/")
	date := r.Header.Get("X-Amz-Date")
	if len(signed) != 5 || len(date) != 16 || signed[1] != date[:8] || signed[4] != "aws4_request" {
		return refused("IncompleteSignature", "the scope %q", fields["Credential"])
	}
	if signed[2] != region || signed[3] != wanted.service {
		return refused("InvalidSignatureException", "Credential should be scoped to %s in %s, not %q", wanted.service, region, fields["Credential"])
	}
	known, ok := keys[signed[0]]
	if !ok {
		return refused("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	over := known.Expired || (!known.expires.IsZero() && wanted.now.After(known.expires))
	if over || (known.Token != "" && r.Header.Get("X-Amz-Security-Token") != known.Token) {
		return refused("ExpiredTokenException", "The security token included in the request is expired")
	}
	at, err := time.Parse(dateForm, date)
	if err != nil || wanted.now.Sub(at) > 5*time.Minute {
		return refused("InvalidSignatureException", "Signature expired: %s is now earlier than %s - 5 min.", date, wanted.now.UTC().Format(dateForm))
	}
	if at.Sub(wanted.now) > 5*time.Minute {
		return refused("InvalidSignatureException", "Signature not yet current: %s is still later than %s + 5 min.", date, wanted.now.UTC().Format(dateForm))
	}
	expected := sign(r, body, fields["SignedHeaders"], date, signed, known.Secret)
	if !hmac.Equal([]byte(expected), []byte(fields["Signature"])) {
		return refused("InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")
	}
	if known.User == "" {
		return "operator", nil
	}
	return known.User, nil
}

func sign(r *http.Request, body []byte, signedHeaders, date string, scope []string, secret string) string {
	var headers strings.Builder
	for _, name := range strings.Split(signedHeaders, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		if name == "content-length" {
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	canonical := strings.Join([]string{
		r.Method, doubleEncoded(r.URL.EscapedPath()), canonicalQuery(r.URL.RawQuery), headers.String(), signedHeaders, hexSum(body),
	}, "\n")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", date, strings.Join(scope[1:], "/"), hexSum([]byte(canonical))}, "\n")
	signingKey := []byte("AWS4" + secret)
	for _, part := range scope[1:] {
		signingKey = mac(signingKey, part)
	}
	return hex.EncodeToString(mac(signingKey, toSign))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Each segment of a path, already encoded, is encoded once more.
func doubleEncoded(path string) string {
	if path == "" {
		return "/"
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = encoded(segment)
	}
	return strings.Join(segments, "/")
}

// The query is parsed as a form, where a plus is a blank, and encoded again.
func canonicalQuery(raw string) string {
	values, _ := url.ParseQuery(raw)
	var parts []string
	for name, all := range values {
		for _, value := range all {
			parts = append(parts, encoded(name)+"="+encoded(value))
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, "&")
}

func encoded(text string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(text))
}
