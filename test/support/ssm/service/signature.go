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

// checkSignature tells whether a request carries a valid Signature Version 4 in its headers; the error is the type that AWS answers with.
func checkSignature(r *http.Request, body []byte, service, region string, now settings) *apiError {
	fields := map[string]string{}
	rest, found := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !found {
		return &apiError{"MissingAuthenticationTokenException", "no signature", 403}
	}
	for _, part := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	date := r.Header.Get("X-Amz-Date")
	if len(scope) != 5 || len(date) != 16 || scope[1] != date[:8] || scope[2] != region || scope[3] != service || scope[4] != "aws4_request" {
		return &apiError{"IncompleteSignature", fmt.Sprintf("the scope %q is not for %s in %s", fields["Credential"], service, region), 400}
	}
	known, ok := now.Keys[scope[0]]
	if !ok {
		return &apiError{"UnrecognizedClientException", "The security token included in the request is invalid.", 400}
	}
	if known.Token != "" && r.Header.Get("X-Amz-Security-Token") != known.Token {
		return &apiError{"ExpiredTokenException", "The security token included in the request is expired", 400}
	}
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil || now.clock().Sub(at).Abs() > 5*time.Minute {
		return &apiError{"InvalidSignatureException", "Signature expired: " + date + " is now earlier than the service's time", 403}
	}
	expected := sign(r, body, fields["SignedHeaders"], date, scope, known.Secret)
	if !hmac.Equal([]byte(expected), []byte(fields["Signature"])) {
		return &apiError{"InvalidSignatureException", "The request signature we calculated does not match the signature you provided.", 403}
	}
	return nil
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

// Each segment of a path that is encoded already is encoded once more.
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

// The query is read as a form, in which a plus is a blank, and written again.
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
