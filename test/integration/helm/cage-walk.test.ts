// Every field of the API server's own schema that the controller never writes is refused to the controller's user, so that a field of a
// later Kubernetes is refused, too. The schema is walked level by level; each field gets one object in a server-side dry run.
// Neighbours: cage-world.ts; walk-levels.ts lists the levels, walk-values.ts makes a value for each field.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CageWorld, type Loose } from './cage-world.ts';
import { levels } from './walk-levels.ts';
import { type Schema, Schemas } from './walk-values.ts';

let world: CageWorld;
before(async () => {
  world = await CageWorld.start();
});
after(() => world?.stop());

for (const level of levels) {
  test(`${level.kind}, ${level.name}: no field passes but what the controller writes`, async (t) => {
    const schemas = new Schemas(await world.server.kubectl(['get', '--raw', `/openapi/v3/${level.document}`]));
    const written = new Set([...Object.keys(level.at(world.child(level.kind))), ...level.ours]);
    const fields = Object.entries(schemas.properties(level.schema)).filter(([field]) => !written.has(field));
    const passed: string[] = [];
    const byServer: string[] = [];
    await eachOf(fields, 4, async ([field, schema]: [string, Schema]) => {
      const object = world.child(level.kind);
      const there = level.at(object);
      for (const other of level.instead) delete there[other];
      there[field] = schemas.value(field, schema);
      const said = await world.write(object, ['--dry-run=server', '--output', 'json']).then(
        // A field of a feature that is off is dropped before it can have an effect.
        (answer) => (field in level.at(JSON.parse(answer) as Loose) ? passed.push(field) : ''),
        String,
      );
      if (typeof said === 'string' && !said.includes("ValidatingAdmissionPolicy '")) byServer.push(field);
    });
    t.diagnostic(
      `${fields.length} fields, of which the API server itself drops or refuses ${byServer.join(', ') || 'none'}`,
    );
    assert.deepEqual(passed, []);
  });
}

/** Runs the work for each item, some at a time. */
async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
