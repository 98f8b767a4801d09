// The reasons that only the fly driver can give: what fly.io's API refuses, and what a private network lacks.
// Neighbour: error-codes.ts takes them into the closed list.
import { code } from './error-code.ts';

/** In the order of the way: token, API, app, peer, gateway, Machines. */
export const flyErrorCodes = {
  TokenMissing: code(
    'bastion',
    'transient',
    'The tunnel finds no access token for fly.io.',
    'The Secret of spec.fly.secretRef does not exist, lacks the key FLY_API_TOKEN, or holds a text that is no token.',
    'Put a token into the Secret under FLY_API_TOKEN (docs/fly.md says how to make one).',
  ),
  TokenRefused: code(
    'bastion',
    'permanent',
    'fly.io does not accept the access token.',
    'It is misspelt, revoked or expired, or it does not allow what the message names.',
    'Put a valid token into the Secret; it is re-read at once (docs/fly.md says which rights it needs).',
  ),
  TokenExpired: code(
    'bastion',
    'transient',
    'fly.io no longer accepts the access token that it accepted before.',
    'The token has expired or was revoked. A tunnel that is connected stays connected.',
    'Put a new token into the Secret; it is re-read at once.',
  ),
  AppNotFound: code(
    'bastion',
    'permanent',
    'fly.io knows no app of that name, or the token may not see it.',
    'spec.fly.app is misspelt, or the token is for another organization.',
    'Correct spec.fly.app, or put a token of the app’s organization into the Secret.',
  ),
  OrganizationNotFound: code(
    'bastion',
    'permanent',
    'fly.io knows no organization of that name, or the token may not see it.',
    'spec.fly.org is misspelt (it is the slug), or the token is for another organization.',
    'Correct spec.fly.org, or put a token of that organization into the Secret.',
  ),
  GatewayNotFound: code(
    'bastion',
    'permanent',
    'The region has no WireGuard gateway.',
    'spec.fly.region names a region that does not exist or has no gateways.',
    'Remove spec.fly.region to use the nearest gateway, or name another region.',
  ),
  PeerRefused: code(
    'bastion',
    'transient',
    'fly.io did not make a WireGuard peer for the tunnel.',
    'The organization has too many peers, or the API refuses the request for another reason.',
    'Remove peers that nobody uses (fly wireguard list, fly wireguard remove); the message has the reason.',
  ),
  FlyApiFailed: code(
    'bastion',
    'transient',
    'fly.io’s API failed or could not be reached. A tunnel that is connected stays connected.',
    'An outage at fly.io, or no way from the tunnel to api.fly.io on port 443.',
    'Allow the tunnel to reach api.fly.io:443, and look at fly.io’s status page.',
  ),
  TunnelDown: code(
    'bastion',
    'transient',
    'The WireGuard tunnel to the gateway carries nothing.',
    'UDP port 51820 and TCP port 443 to the gateway are blocked, or the gateway is down.',
    'Allow the tunnel to reach *.gateway.6pn.dev on UDP 51820 or TCP 443.',
  ),
  HelperMissing: code(
    'bastion',
    'permanent',
    'This build has no helper for fly.io tunnels.',
    'The build found no Go compiler and left the helper out, or the command for laptops stands alone.',
    'Put the file …-fly-helper of the release beside the command as portforward-fly-helper (docs/fly.md), build with Go, or use the image.',
  ),
  HelperFailed: code(
    'bastion',
    'transient',
    'The helper that speaks WireGuard ended or stopped answering.',
    'It ran out of memory, or it has a bug.',
    'None is needed: it is started again. If it stays, report it with the log of the tunnel.',
  ),
  NoRunningMachines: code(
    'destination',
    'transient',
    'The name has no address in the private network: no Machine of the app runs.',
    'All Machines are stopped, or the name is misspelt. Connections to .internal names do not start Machines.',
    'Start a Machine, or use the app’s .flycast address, which starts them.',
  ),
} as const;
