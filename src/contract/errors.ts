// The closed list of what can go wrong, shared by both halves: the sidecar's errors, the conditions' reasons, docs/errors.md and the
// log all use these codes. Machines switch on the code (never on a text); people read the sentence and the mend.
import { ssmErrorCodes } from './ssm-error-codes.ts';

/** What is said of a code once and for all; `docs/errors.md` is generated from it. */
export interface ErrorCode {
  /** True: no retry helps until a person changes the document, a Secret or the far side. False: time may mend it. */
  readonly permanent: boolean;
  /** Where it happened: the document, the cluster, the way to the bastion, or behind the bastion. */
  readonly layer: 'document' | 'cluster' | 'bastion' | 'destination' | 'client';
  readonly meaning: string;
  readonly cause: string;
  readonly mend: string;
}

const code = (
  layer: ErrorCode['layer'],
  lifetime: 'permanent' | 'transient',
  meaning: string,
  cause: string,
  mend: string,
): ErrorCode => ({ layer, permanent: lifetime === 'permanent', meaning, cause, mend });

/** Every code, in the order of the walk from the document to the destination. */
export const errorCodes = {
  InvalidSpec: code(
    'document',
    'permanent',
    'The stored PortForward does not pass the rules of the installed operator.',
    'It was stored before a rule was tightened, or the CRD is older than the operator.',
    'Correct the field that the message names and apply the document again.',
  ),
  DriverNotAvailable: code(
    'document',
    'permanent',
    'This version of the operator has no driver for the chosen block.',
    'The document uses fly with an operator that does not carry that driver yet.',
    'Use ssh or ssm, or upgrade the operator.',
  ),
  ConfigTooLarge: code(
    'document',
    'permanent',
    'The tunnel configuration exceeds 100 KiB.',
    'It travels to the pod as one environment variable, which the kernel limits to 128 KiB.',
    'Move knownHosts into the Secret, or split the ports over several PortForwards.',
  ),
  AnnotationNotAllowed: code(
    'document',
    'permanent',
    'An annotation in spec.pod or spec.service has a prefix that the operator does not pass on.',
    'Only prefixes of the chart value allowedAnnotationPrefixes are copied to pods and Services.',
    'Remove the annotation, or ask the operator’s administrator to allow the prefix.',
  ),
  ServiceTypeNotAllowed: code(
    'document',
    'permanent',
    'The Service type is not allowed by this operator.',
    'LoadBalancer and NodePort expose the tunnel outside the cluster; the chart value allowedServiceTypes lists what is permitted.',
    'Use ClusterIP, or ask the operator’s administrator to allow the type.',
  ),
  InsecureHostKeysNotAllowed: code(
    'document',
    'permanent',
    'hostKeyPolicy InsecureIgnore is not allowed by this operator.',
    'The operator runs without --allow-insecure-host-keys.',
    'Put the bastion’s host key into spec.ssh.knownHosts and use hostKeyPolicy Strict.',
  ),
  ResourceConflict: code(
    'cluster',
    'permanent',
    'An object that the tunnel needs exists already and belongs to someone else.',
    'A Service, Deployment or other object of that name was made by hand or by another controller.',
    'Delete or rename that object, or choose another spec.service.name. It is looked at again every 30 s.',
  ),
  Forbidden: code(
    'cluster',
    'permanent',
    'The API server does not allow the operator to write an object of the tunnel.',
    'The operator’s role lacks a verb, or an admission policy refused the object.',
    'Compare the role with the chart’s, and read the message for the policy that refused.',
  ),
  ApiServerError: code(
    'cluster',
    'transient',
    'The API server could not write an object of the tunnel.',
    'An admission webhook does not answer, or the API server is overloaded or out of reach.',
    'Read the message, and mend the webhook or the API server that it names.',
  ),
  QuotaExceeded: code(
    'cluster',
    'transient',
    'A ResourceQuota or LimitRange of the namespace refuses the tunnel’s pods.',
    'The namespace has used its pods, CPU or memory.',
    'Raise the quota, or lower spec.replicas or spec.pod.resources.',
  ),
  PodSecurityViolation: code(
    'cluster',
    'transient',
    'Pod Security admission refuses the tunnel’s pods.',
    'The namespace enforces a level or version that the pod does not meet.',
    'Tunnel pods meet the level restricted: set the namespace’s label pod-security.kubernetes.io/enforce-version to a version before the rule of the message, or upgrade the operator.',
  ),
  PodRefused: code(
    'cluster',
    'transient',
    'The API server refuses to create the tunnel’s pods.',
    'An admission webhook or policy, or a missing priority class or service account.',
    'Exempt the tunnel’s pods from the webhook or policy that the message names, or correct spec.pod.priorityClassName or serviceAccountName.',
  ),
  Unschedulable: code(
    'cluster',
    'transient',
    'No node takes the tunnel’s pod.',
    'Node selector, tolerations, affinity or free resources do not fit any node.',
    'Correct spec.pod, or add a node that fits.',
  ),
  ImagePullFailed: code(
    'cluster',
    'transient',
    'The tunnel’s image cannot be pulled.',
    'The image name is wrong, the registry does not answer, or the pull secret is missing.',
    'Correct the chart value image, or spec.pod.imagePullSecrets.',
  ),
  PodFailed: code(
    'cluster',
    'transient',
    'The tunnel’s container does not start or ends again and again.',
    'The image does not fit the node, or memory is too small.',
    'Read the message, then kubectl logs of the pod.',
  ),
  PodStarting: code(
    'cluster',
    'transient',
    'The tunnel’s pod is being started.',
    'It was just created, or is being replaced.',
    'Wait; if it stays, kubectl describe the pod.',
  ),
  StatusUnreadable: code(
    'cluster',
    'transient',
    'The operator cannot read the state of a tunnel pod.',
    'A NetworkPolicy or the network keeps the operator from the pods’ admin port.',
    'Allow the operator’s namespace to reach port 9808 of the tunnel pods.',
  ),
  ConfigUnreadable: code(
    'document',
    'permanent',
    'The sidecar cannot read its configuration.',
    'The operator and the image are of versions that do not fit together.',
    'Give operator and tunnels the same image version.',
  ),
  SecretNotFound: code(
    'bastion',
    'transient',
    'The Secret does not exist, or holds none of the documented keys.',
    'It was not created yet, has another name, or lives in another namespace.',
    'Create it in the PortForward’s namespace with the keys of docs/secrets.md. It is picked up without a restart.',
  ),
  SecretKeyMissing: code(
    'bastion',
    'transient',
    'The Secret exists, but a key that is needed is not in it.',
    'For ssh, neither ssh-privatekey (or identity) nor password is there.',
    'Add the key that the message names.',
  ),
  PrivateKeyInvalid: code(
    'bastion',
    'permanent',
    'The private key cannot be read.',
    'It is cut off, a public key, or in a format that ssh does not use.',
    'Store the private key file as ssh-keygen wrote it, with its last newline.',
  ),
  PassphraseWrong: code(
    'bastion',
    'permanent',
    'The private key is encrypted and the passphrase does not open it.',
    'The key passphrase is missing from the Secret, or is not the key’s.',
    'Store the passphrase under the key passphrase, or an unencrypted private key.',
  ),
  PasswordNotTrusted: code(
    'bastion',
    'permanent',
    'A password is not sent to this bastion.',
    'Its host key is not in the Secret’s own known_hosts: only who holds the Secret may say which host gets its password.',
    'Add the bastion’s line to the key known_hosts of the same Secret.',
  ),
  BastionNameNotResolved: code(
    'bastion',
    'transient',
    'The bastion’s name cannot be resolved.',
    'The name is misspelt, or the cluster’s DNS does not know it.',
    'Correct spec.ssh.bastions[].host, or the DNS.',
  ),
  BastionRefused: code(
    'bastion',
    'transient',
    'The bastion refuses the connection.',
    'sshd does not run there, or listens on another port.',
    'Correct host and port, or start sshd.',
  ),
  BastionUnreachable: code(
    'bastion',
    'transient',
    'There is no route to the bastion.',
    'Network down, or no route from the cluster.',
    'Check routes and firewalls between the nodes and the bastion.',
  ),
  BastionTimeout: code(
    'bastion',
    'transient',
    'The bastion does not answer.',
    'A firewall drops the packets, or the machine is down.',
    'Allow the cluster’s egress addresses to reach the bastion’s port.',
  ),
  BastionRefusing: code(
    'bastion',
    'transient',
    'The bastion closes the connection before it greets.',
    'sshd is at MaxStartups, penalizes this address, or a load balancer has no backend.',
    'Wait for it; if it stays, raise MaxStartups or exempt the cluster (PerSourcePenaltyExemptList).',
  ),
  BastionLost: code(
    'bastion',
    'transient',
    'The session to the bastion was lost.',
    'The network broke, sshd was restarted, or the bastion stopped answering.',
    'None is needed: the tunnel reconnects by itself.',
  ),
  HandshakeFailed: code(
    'bastion',
    'permanent',
    'The bastion and the tunnel have no algorithm in common, or the handshake broke.',
    'sshd allows only algorithms that are not supported here, or something that is not sshd answers.',
    'Correct host and port, if something else answers there; else enable a current key exchange, cipher and host key type in its sshd_config.',
  ),
  HostKeyUnknown: code(
    'bastion',
    'permanent',
    'The bastion’s host key is not known.',
    'Neither spec.ssh.knownHosts nor the Secret’s known_hosts has a line for this host and port.',
    'Compare the fingerprint of the message with the bastion’s, then add the line (ssh-keyscan prints it).',
  ),
  HostKeyChanged: code(
    'bastion',
    'permanent',
    'The bastion presented another host key than the known one.',
    'The bastion was reinstalled, or someone is between.',
    'Find out which; then replace the line in known_hosts.',
  ),
  HostKeyRevoked: code(
    'bastion',
    'permanent',
    'The bastion presented a host key that known_hosts marks as revoked.',
    'An old or stolen key is in use.',
    'Give the bastion a new host key and add its line.',
  ),
  AuthenticationFailed: code(
    'bastion',
    'permanent',
    'The bastion does not accept the user with these credentials.',
    'The public key is not in authorized_keys, the user name is wrong, or the password changed.',
    'Correct spec.ssh.user or the Secret. A change of the Secret is tried at once.',
  ),
  ...ssmErrorCodes,
  ForwardingProhibited: code(
    'destination',
    'permanent',
    'The bastion does not allow forwarding to the destination.',
    'AllowTcpForwarding, PermitOpen or the authorized_keys line forbids it.',
    'Permit the destination on the bastion (permitopen="host:port").',
  ),
  DestinationNameNotResolved: code(
    'destination',
    'transient',
    'The bastion cannot resolve the destination’s name.',
    'The name is misspelt, or the bastion’s DNS does not know it.',
    'Correct spec.ports[].destinationHost. The name is resolved on the bastion, not in the cluster.',
  ),
  DestinationRefused: code(
    'destination',
    'transient',
    'The destination refuses the connection.',
    'Nothing listens on that port, or the database is down.',
    'Start the service, or correct spec.ports[].destinationPort.',
  ),
  DestinationUnreachable: code(
    'destination',
    'transient',
    'The bastion has no way to the destination, or could not open a connection.',
    'No route, or the bastion is out of file descriptors.',
    'Check the route and the firewall from the bastion to the destination, and the bastion’s limit of open files.',
  ),
  DestinationTimeout: code(
    'destination',
    'transient',
    'The destination does not answer.',
    'A firewall between bastion and destination drops the packets, or the machine is down.',
    'Allow the bastion to reach the destination.',
  ),
  DestinationNotSpeaking: code(
    'destination',
    'transient',
    'The destination accepts connections but does not answer in its protocol.',
    'Another service listens there, or the database is starting or overloaded.',
    'Check spec.ports[].appProtocol and the database.',
  ),
  NotConnected: code(
    'bastion',
    'transient',
    'There is no session yet.',
    'The tunnel is starting or reconnecting.',
    'Wait; if it stays, the condition Connected names the cause.',
  ),
  ConnectionLimit: code(
    'client',
    'transient',
    'A client was refused because the pod carries its maximum of connections.',
    'spec.connection.maxConnections is reached.',
    'Raise it, or add replicas.',
  ),
} as const satisfies Record<string, ErrorCode>;

export type Code = keyof typeof errorCodes;

/** An error that a person will read: a code for machines, a sentence (never with a secret in it), and the cause chain. */
export class TunnelError extends Error {
  override readonly name = 'TunnelError';
  readonly code: Code;

  constructor(errorCode: Code, sentence: string, options?: { readonly cause?: unknown }) {
    super(sentence, options);
    this.code = errorCode;
  }

  /** True when no retry helps until something is changed by a person; decided by code alone. */
  get permanent(): boolean {
    return errorCodes[this.code].permanent;
  }

  /** Where it happened; a `destination` error leaves the session usable. */
  get layer(): ErrorCode['layer'] {
    return errorCodes[this.code].layer;
  }
}
