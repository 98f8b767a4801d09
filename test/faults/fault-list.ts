// Every fault that every-fault.test.ts makes, and what is promised for it. docs/reliability.md has a row for each, written by a run.
// Neighbours: measure.ts takes the figures, reliability-page.ts writes the page, test/unit/faults/reliability-page.test.ts compares both.

export interface Fault {
  readonly driver: 'ssh' | 'ssm';
  readonly what: string;
  /** What becomes of the connections that are open: of ssh, those over the bastion that fails. */
  readonly open: 'live on' | 'are reset';
  /** The longest wait of a new connection that is promised or documented, in milliseconds; three times as much fails. */
  readonly newWithinMs: number;
  /**
   * `begins`: it begins while nobody downloads; `lasts`: nobody downloads until it is over, because it begins several times. The agent repeats
   * ten messages a second, so the part of a download that was lost would decide how long the clients of the same session wait; on a busy machine
   * that was 12 s after a cut. ssm-lives.test.ts has that case with a known number.
   */
  readonly betweenDownloads?: 'begins' | 'lasts';
}

/** A dial on a session that falls silent is tried over another one 2 to 2.5 s later: row 35 of docs/development/first-week.md. */
const secondDialMs = 3_000;

const ssh = { driver: 'ssh', open: 'are reset' } as const;
const ssm = { driver: 'ssm', open: 'live on' } as const;

export const faults = {
  'sessions-killed': { ...ssh, what: 'the processes of sshd that serve sessions are killed', newWithinMs: 1_000 },
  'sshd-killed': { ...ssh, what: 'sshd is killed and refuses for 3 s; another bastion is alive', newWithinMs: 1_000 },
  'black-hole': { ...ssh, what: 'every packet is lost for 14 s; another bastion is alive', newWithinMs: 10_000 },
  'black-hole-in': { ...ssh, what: 'packets to the bastion are lost for 14 s; another is alive', newWithinMs: 10_000 },
  'black-hole-out': { ...ssh, what: 'packets of the bastion are lost for 14 s; another is alive', newWithinMs: 10_000 },
  'link-down': { ...ssh, what: 'the link is down for 14 s; another bastion is alive', newWithinMs: 10_000 },
  'black-hole-3s': { ...ssh, open: 'live on', what: 'every packet is lost for 3 s', newWithinMs: 5_000 },
  'sshd-stopped-9s': {
    ...ssh,
    open: 'live on',
    what: 'sshd is stopped for 9 s; another bastion is alive',
    newWithinMs: secondDialMs,
  },
  'sshd-stopped-25s': {
    ...ssh,
    open: 'live on',
    what: 'sshd is stopped for 25 s; another bastion is alive',
    newWithinMs: secondDialMs,
  },
  'sshd-stopped-40s': { ...ssh, what: 'sshd is stopped for 40 s; another bastion is alive', newWithinMs: secondDialMs },
  'rekey-under-load': {
    ...ssh,
    open: 'live on',
    what: 'sshd asks for new keys after each MiB, for 10 s',
    newWithinMs: 1_000,
  },
  'idle-channels-ended': {
    ...ssh,
    open: 'live on',
    what: 'sshd ends channels that are idle for 3 s and connections without one for 4 s',
    newWithinMs: 1_000,
  },
  'bastion-moves': {
    ...ssh,
    what: 'the bastion’s name leads to another machine; 5 s later the old one is gone',
    newWithinMs: 2_000,
  },
  'socket-bye': {
    ...ssm,
    what: 'the service closes the web socket, as every hour',
    newWithinMs: 2_000,
    betweenDownloads: 'begins',
  },
  'socket-cut': { ...ssm, what: 'the network cuts the web socket', newWithinMs: 2_000, betweenDownloads: 'begins' },
  'socket-cut-old-agent': {
    ...ssm,
    what: 'the same with agent 3.1.1374.0, three times',
    newWithinMs: 4_000,
    betweenDownloads: 'lasts',
  },
  'agent-reconnects': {
    ...ssm,
    what: 'the agent loses its own connection and is back after 4 s',
    newWithinMs: 6_000,
    betweenDownloads: 'begins',
  },
  'agent-silent-12s': {
    ...ssm,
    what: 'nothing of the agent arrives for 12 s',
    newWithinMs: 14_000,
    betweenDownloads: 'begins',
  },
  'agent-silent-20s': {
    ...ssm,
    what: 'nothing of the agent arrives for 20 s',
    newWithinMs: 26_000,
    betweenDownloads: 'begins',
  },
  'agent-gives-up': {
    ...ssm,
    open: 'are reset',
    what: 'the agent gives its own connection up and lives on',
    newWithinMs: 21_000,
  },
  'agent-restarts': { ...ssm, what: 'the agent restarts; no new session for 2 s', newWithinMs: 1_000 },
  'worker-killed': { ...ssm, open: 'are reset', what: 'the session worker on the node is killed', newWithinMs: 21_000 },
  'sessions-evicted': {
    ...ssm,
    open: 'are reset',
    what: 'the service ends the session with a word',
    newWithinMs: 6_000,
  },
  'messages-lost': { ...ssm, what: '1 % of the messages are lost, each way, for 10 s', newWithinMs: 2_000 },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof faults;
