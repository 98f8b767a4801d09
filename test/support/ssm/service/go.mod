module portforward.dev/test/ssm-service

go 1.26

require (
	github.com/gorilla/websocket v1.5.3
	github.com/xtaci/smux v1.5.15
)
