// The keys of a way as Secrets: one for each key file, however many machines it opens. Of a key only its path is used, and whether it is
// encrypted. Neighbours: ssh-hops.ts (which files), ssh-command.ts.
import type { Machine } from './machine.ts';
import type { NeededSecret, OptionOutcome } from './outcome.ts';
import type { SshHop } from './ssh-hops.ts';

export interface HopSecrets {
  /** Each once, in the order of the way. */
  readonly secrets: readonly NeededSecret[];
  /** The Secret's name for each hop of the way. */
  readonly nameOf: ReadonlyMap<SshHop, string>;
  readonly outcomes: readonly OptionOutcome[];
}

/** What stands in the command for a file that the person must choose. */
const chooseKey = 'PRIVATE_KEY_FILE';
const choosePassphrase = 'FILE_WITH_THE_PASSPHRASE';
const choosePassword = 'FILE_WITH_THE_PASSWORD';
const chooseKnownHosts = 'KNOWN_HOSTS_FILE';

export function secretsOf(
  hops: readonly SshHop[],
  { name, machine, withPassword }: { readonly name: string; readonly machine: Machine; readonly withPassword: boolean },
): HopSecrets {
  const secrets: NeededSecret[] = [];
  const nameOf = new Map<SshHop, string>();
  const outcomes: OptionOutcome[] = [];
  // The bastion first: its Secret has the plain name.
  for (const hop of hops.toReversed()) {
    const files = filesOf(hop, machine, withPassword && hop === hops.at(-1), outcomes);
    const same = secrets.find((each) => JSON.stringify([...each.files]) === JSON.stringify([...files]));
    const kind = secrets.length === 0 ? 'ssh' : secrets.length === 1 ? 'jump' : `jump-${secrets.length}`;
    const secret = same ?? { name: `${name}-${kind}`, files, literals: new Map() };
    if (same === undefined) secrets.push(secret);
    nameOf.set(hop, secret.name);
  }
  return { secrets, nameOf, outcomes };
}

type Report = (option: string, verdict: OptionOutcome['verdict'], why: string, origin?: string) => void;

function filesOf(
  hop: SshHop,
  machine: Machine,
  withPassword: boolean,
  outcomes: OptionOutcome[],
): ReadonlyMap<string, string> {
  const report: Report = (option, verdict, why, origin) => {
    if (outcomes.some((each) => each.option === option && each.why === why)) return;
    outcomes.push({ option, ...(origin === undefined ? {} : { origin }), verdict, why });
  };
  if (withPassword)
    return new Map([
      ['password', choosePassword],
      ['known_hosts', chooseKnownHosts],
    ]);
  const given = hop.settings.all('IdentityFile');
  const key = keyOf(hop, machine, report);
  if (key === undefined) {
    if (given.length === 0) {
      const why =
        'ssh finds no key file here, so it takes one from an agent, or asks: put the private key’s file into the Secret’s command';
      report(`key for ${hop.alias}`, 'notPossible', why);
    }
    // A file that was named, but is on another machine.
    const named = given.length > 0 ? hop.identityFiles.find(mayBeKey) : undefined;
    return new Map([['ssh-privatekey', named ?? chooseKey]]);
  }
  const files = new Map([['ssh-privatekey', key]]);
  const certificate = [...hop.certificateFiles, `${key}-cert.pub`].find((path) => machine.exists(path));
  if (certificate !== undefined) files.set('ssh-publickey-cert', certificate);
  for (const { label, origin } of hop.settings.all('CertificateFile')) {
    if (certificate === undefined) report(label, 'notPossible', 'there is no such file', origin);
    else report(label, 'kept', 'the key ssh-publickey-cert of the Secret', origin);
  }
  if (isEncrypted(machine.read(key) ?? '')) {
    files.set('passphrase', choosePassphrase);
    report(
      short(key, machine),
      'notPossible',
      'it is encrypted, and a pod cannot ask: put its passphrase into the Secret as well',
    );
  }
  return files;
}

const mayBeKey = (path: string): boolean => !path.endsWith('.pub') && !path.endsWith('_sk');

/** The first key that ssh would try and a Secret can hold; reports the others. */
function keyOf(hop: SshHop, machine: Machine, report: Report): string | undefined {
  const given = hop.settings.all('IdentityFile');
  const [key, ...more] = hop.identityFiles.filter((path) => mayBeKey(path) && machine.exists(path));
  for (const [index, path] of hop.identityFiles.entries()) {
    const setting = given[index];
    if (setting === undefined) continue;
    if (path === key) report(setting.label, 'kept', 'the key ssh-privatekey of the Secret', setting.origin);
    else report(setting.label, 'notPossible', reasonAgainst(path, more.includes(path)), setting.origin);
  }
  if (given.length === 0 && more.length > 0) {
    const why = `a Secret holds one key, and ${short(key ?? '', machine)} is the first that ssh tries; name another in the Secret’s command if the bastion knows that one`;
    report(more.map((path) => short(path, machine)).join(', '), 'notPossible', why);
  }
  return key;
}

function reasonAgainst(path: string, exists: boolean): string {
  if (path.endsWith('.pub'))
    return 'it is a public key, whose private half is in an agent: a pod has none, so name the private key’s file';
  if (path.endsWith('_sk')) return 'it needs a security key, which a pod does not have';
  return exists ? 'a Secret holds one key, and another is tried before it' : 'there is no such file here';
}

/** Whether a private key needs a passphrase, by its header alone. */
function isEncrypted(key: string): boolean {
  if (/ENCRYPTED/.test(key.slice(0, 500))) return true;
  const [, base64 = ''] = /-----BEGIN OPENSSH PRIVATE KEY-----\s+([A-Za-z0-9+/]{24,})/.exec(key) ?? [];
  // "openssh-key-v1", a zero, and the length and name of the cipher.
  const header = Buffer.from(base64.slice(0, 48), 'base64').toString('latin1');
  return header.startsWith('openssh-key-v1\0') && !header.startsWith('none', 19);
}

const short = (path: string, { home }: Machine): string =>
  path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
