// The control groups that the kubelet puts pods under: one of ours in every hierarchy, so that they can be recognized and removed.
// Neighbour: machine.ts. Version 1 has one hierarchy for each controller; in version 2 a group has only the controllers that its
// parent hands down.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const unified = '/sys/fs/cgroup';

/** Makes the group `name` everywhere, with all controllers. Returns those that the root group did not hand down before. */
export function makeControlGroups(name: string): string[] {
  const handed: string[] = [];
  for (const hierarchy of hierarchies()) {
    const group = join(hierarchy, name);
    mkdirSync(group, { recursive: true });
    if (!existsSync(join(hierarchy, 'cgroup.controllers')) || hierarchy !== unified) continue;
    handed.push(...handDown(hierarchy));
    handDown(group);
  }
  return handed;
}

/** Removes the group and takes back what the root group handed down for it; what others need meanwhile stays. */
export function removeControlGroups(name: string, handed: readonly string[]): void {
  for (const hierarchy of hierarchies()) removeGroup(join(hierarchy, name));
  for (const controller of handed) {
    try {
      writeFileSync(join(unified, 'cgroup.subtree_control'), `-${controller}`);
    } catch {
      // In use by another group now.
    }
  }
}

function handDown(group: string): string[] {
  const words = (file: string): string[] => readFileSync(join(group, file), 'utf8').trim().split(/\s+/);
  const already = words('cgroup.subtree_control');
  const missing = words('cgroup.controllers').filter(
    (controller) => controller !== '' && !already.includes(controller),
  );
  for (const controller of missing) {
    try {
      writeFileSync(join(group, 'cgroup.subtree_control'), `+${controller}`);
    } catch (error) {
      const why = `control group ${group} cannot hand down ${controller}: it holds processes itself, as in a container; run on the machine itself`;
      throw new Error(why, { cause: error });
    }
  }
  return missing;
}

/** Mount points of the hierarchies. */
function hierarchies(): string[] {
  const lines = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  return lines.filter(([, , type]) => type === 'cgroup' || type === 'cgroup2').map(([, place]) => place ?? '');
}

/** From the leaves up; a group's files are not files. */
function removeGroup(group: string): void {
  if (!existsSync(group)) return;
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroup(join(group, entry.name));
  }
  rmdirSync(group);
}
