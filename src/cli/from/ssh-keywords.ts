// Every keyword of ssh_config(5), with what becomes of it in a document. A keyword that is not here is refused, as ssh itself refuses it.
// Neighbours: ssh-config.ts reads them, ssh-command.ts reports them. docs/bastion.md has the algorithms.
import type { OptionVerdict } from './outcome.ts';

/** `read`: ssh-command.ts or ssh-hops.ts turns it into fields and reports it. */
type Fate = 'read' | readonly [Exclude<OptionVerdict, 'kept'>, string];

const login = 'the key or password of the Secret is used';
const shell = 'it is about a shell, and a tunnel has none';
const local = 'it is about this machine’s terminal or session';
const sharing = 'a tunnel keeps its sessions itself';
const negotiated = 'algorithms are negotiated; docs/bastion.md lists which';
const outdated = 'ssh itself ignores it today';
const runsProgram = 'it runs a program of this machine, which a tunnel pod does not have';
const address = 'the cluster decides from which address a pod connects';
const hostKeys = 'host keys are always checked, against spec.ssh.knownHosts and the Secret';

const lost = (why: string): Fate => ['notPossible', why];
const idle = (why: string): Fate => ['notNeeded', why];

export const fates: Readonly<Record<string, Fate>> = {
  Host: 'read',
  Match: 'read',
  Include: 'read',
  IgnoreUnknown: 'read',
  Tag: 'read',
  HostName: 'read',
  User: 'read',
  Port: 'read',
  ProxyJump: 'read',
  ProxyCommand: 'read',
  IdentityFile: 'read',
  CertificateFile: 'read',
  LocalForward: 'read',
  UserKnownHostsFile: 'read',
  GlobalKnownHostsFile: 'read',
  HostKeyAlias: 'read',
  ConnectTimeout: 'read',
  ClearAllForwardings: 'read',

  AddKeysToAgent: idle(local),
  AddressFamily: lost('names are resolved by the cluster, and all their addresses are tried'),
  BatchMode: idle('nobody is ever asked'),
  BindAddress: lost(address),
  BindInterface: lost(address),
  CanonicalDomains: lost('names are taken as they are written: write the full name'),
  CanonicalizeFallbackLocal: idle('names are taken as they are written'),
  CanonicalizeHostname: lost('names are taken as they are written: write the full name'),
  CanonicalizeMaxDots: idle('names are taken as they are written'),
  CanonicalizePermittedCNAMEs: idle('names are taken as they are written'),
  CASignatureAlgorithms: lost('host certificates are not understood: name the host’s own key'),
  ChannelTimeout: idle('client connections are never closed for idleness'),
  CheckHostIP: idle(hostKeys),
  Ciphers: lost(negotiated),
  Compression: lost('bytes are carried as they are'),
  ConnectionAttempts: idle('retries never stop'),
  ControlMaster: idle(sharing),
  ControlPath: idle(sharing),
  ControlPersist: idle(sharing),
  DynamicForward: lost('a SOCKS proxy would reach everything: name each destination with -L'),
  EnableEscapeCommandline: idle(shell),
  EnableSSHKeysign: idle(login),
  EscapeChar: idle(shell),
  ExitOnForwardFailure: idle('status tells each port, and retries never stop'),
  FingerprintHash: idle('fingerprints are shown as SHA256'),
  ForkAfterAuthentication: idle('pods run in the background'),
  ForwardAgent: idle('nothing is run on the bastion'),
  ForwardX11: idle(shell),
  ForwardX11Timeout: idle(shell),
  ForwardX11Trusted: idle(shell),
  GatewayPorts: idle('pods reach the Service; spec.access says which'),
  GSSAPIAuthentication: lost('Kerberos is not understood: use a key'),
  GSSAPIClientIdentity: lost('Kerberos is not understood: use a key'),
  GSSAPIDelegateCredentials: idle('Kerberos is not used'),
  GSSAPIKexAlgorithms: idle('Kerberos is not used'),
  GSSAPIKeyExchange: lost('Kerberos is not understood: name the host’s key'),
  GSSAPIRenewalForcesRekey: idle('Kerberos is not used'),
  GSSAPIServerIdentity: idle('Kerberos is not used'),
  GSSAPITrustDns: idle('Kerberos is not used'),
  HashKnownHosts: idle('names in the document are readable'),
  HostbasedAcceptedAlgorithms: idle(login),
  HostbasedAuthentication: lost(`${login}: a pod has no host key of its own`),
  HostKeyAlgorithms: idle('only the types of keys that are known for the host are accepted'),
  IdentitiesOnly: idle('a pod has no agent'),
  IdentityAgent: lost('a pod has no agent: name the key file with -i'),
  IPQoS: idle('the network of the cluster decides'),
  KbdInteractiveAuthentication: idle(login),
  KbdInteractiveDevices: idle(login),
  KexAlgorithms: lost(negotiated),
  KnownHostsCommand: lost(`${runsProgram}: put the keys into spec.ssh.knownHosts`),
  LocalCommand: lost(runsProgram),
  LogLevel: idle(local),
  LogVerbose: idle(local),
  MACs: lost(negotiated),
  NoHostAuthenticationForLocalhost: lost(hostKeys),
  NumberOfPasswordPrompts: idle('nobody is ever asked'),
  ObscureKeystrokeTiming: idle(shell),
  PasswordAuthentication: idle(login),
  PermitLocalCommand: idle(runsProgram),
  PermitRemoteOpen: idle('nothing is forwarded back'),
  PKCS11Provider: lost('a pod has no smart card: use a key file'),
  PreferredAuthentications: idle(login),
  ProxyUseFdpass: lost(runsProgram),
  PubkeyAcceptedAlgorithms: lost(negotiated),
  PubkeyAuthentication: idle(login),
  RefuseConnection: lost('the configuration forbids this connection'),
  RekeyLimit: lost('keys are exchanged again as OpenSSH does by default'),
  RemoteCommand: idle(shell),
  RemoteForward: lost('a tunnel leads from the cluster to the private network only'),
  RequestTTY: idle(shell),
  RequiredRSASize: lost('RSA keys need at least 2,048 bits'),
  RevokedHostKeys: lost('write revoked keys as @revoked lines into spec.ssh.knownHosts'),
  SecurityKeyProvider: lost('a pod has no security key: use a key file'),
  SendEnv: idle(shell),
  ServerAliveCountMax: idle('a silent bastion is replaced after twice spec.ssh.serverAliveIntervalSeconds'),
  ServerAliveInterval: idle('a silent bastion is asked after 2 s (spec.ssh.serverAliveIntervalSeconds)'),
  SessionType: idle(shell),
  SetEnv: idle(shell),
  StdinNull: idle(local),
  StreamLocalBindMask: idle('a Service has ports, not sockets'),
  StreamLocalBindUnlink: idle('a Service has ports, not sockets'),
  StrictHostKeyChecking: idle(hostKeys),
  SyslogFacility: idle(local),
  TCPKeepAlive: idle('keep-alive is always on'),
  Tunnel: lost('a tunnel carries TCP connections, not packets'),
  TunnelDevice: lost('a tunnel carries TCP connections, not packets'),
  UpdateHostKeys: idle('keys in the document change only by an edit'),
  UseKeychain: idle(local),
  VerifyHostKeyDNS: lost(hostKeys),
  VersionAddendum: idle('the tunnel names itself'),
  VisualHostKey: idle(local),
  WarnWeakCrypto: idle(local),
  XAuthLocation: idle(shell),

  AFSTokenPassing: idle(outdated),
  Cipher: idle(outdated),
  CompressionLevel: idle(outdated),
  FallBackToRsh: idle(outdated),
  GlobalKnownHostsFile2: idle(outdated),
  KerberosAuthentication: idle(outdated),
  KerberosTgtPassing: idle(outdated),
  Protocol: idle(outdated),
  RhostsAuthentication: idle(outdated),
  RhostsRSAAuthentication: idle(outdated),
  RSAAuthentication: idle(outdated),
  UsePrivilegedPort: idle(outdated),
  UseRoaming: idle(outdated),
  UserKnownHostsFile2: idle(outdated),
  UseRsh: idle(outdated),
};

/** Older names, which ssh still takes. */
const aliases: Readonly<Record<string, string>> = {
  ChallengeResponseAuthentication: 'KbdInteractiveAuthentication',
  DSAAuthentication: 'PubkeyAuthentication',
  HostbasedKeyTypes: 'HostbasedAcceptedAlgorithms',
  IdentityFile2: 'IdentityFile',
  KeepAlive: 'TCPKeepAlive',
  PubkeyAcceptedKeyTypes: 'PubkeyAcceptedAlgorithms',
  SkeyAuthentication: 'KbdInteractiveAuthentication',
  SmartcardDevice: 'PKCS11Provider',
  TISAuthentication: 'KbdInteractiveAuthentication',
};

const byLowerCase = new Map([
  ...Object.keys(fates).map((keyword) => [keyword.toLowerCase(), keyword] as const),
  ...Object.entries(aliases).map(([alias, keyword]) => [alias.toLowerCase(), keyword] as const),
]);

/** The keyword as ssh_config(5) writes it; undefined if there is none of that name. */
export const keywordOf = (word: string): string | undefined => byLowerCase.get(word.toLowerCase());

/** Each line adds to the list; of every other keyword the first line wins. */
export const accumulated: ReadonlySet<string> = new Set([
  'IdentityFile',
  'CertificateFile',
  'LocalForward',
  'RemoteForward',
  'DynamicForward',
  'SendEnv',
]);

/** The rest of the line is one value, with its quotes. */
export const wholeLine: ReadonlySet<string> = new Set([
  'ProxyCommand',
  'LocalCommand',
  'RemoteCommand',
  'KnownHostsCommand',
]);
