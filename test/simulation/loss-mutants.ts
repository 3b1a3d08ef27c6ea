/** Deliberate breaks of what is done about logs that lost records; runs in which one does have to show each. */
import type { Mutant } from './mutants.js';

const world = 'loss';
const ends = 'replication/ends.ts';
const proving = 'replication/proving.ts';
const coordinator = 'cluster/coordinator.ts';

export const lossMutants: readonly Mutant[] = [
  {
    name: 'any record in its place is the one that was known',
    world,
    file: ends,
    find: "if (tagOf(hash(proof.record.bytes)) === doubt.known.tag) return { kind: 'stands' };",
    replace: "if (tagOf(hash(proof.record.bytes)).length > 0) return { kind: 'stands' };",
  },
  {
    name: 'a log that lacks what was known stands all the same',
    world,
    file: ends,
    find: '      return onLost(doubt, proof.found, now);',
    replace: "      return { kind: 'stands' };",
  },
  {
    name: 'an active that lost its connection asks for no proof',
    world,
    file: proving,
    find: "  if (state === 'active' || state === 'promoting') proveNow(member, out);\n",
    replace: '  void [state, out];\n',
  },
  {
    name: 'whoever reads less than is known asks for no proof',
    world,
    file: proving,
    find: "  return outcome.kind === 'none' || outcome.record.position < known.position;",
    replace: '  return false;',
  },
  {
    name: 'nobody is told that the log has lost records',
    world,
    file: coordinator,
    find: "    return void out.push({ kind: 'loss-told', group: name, known: report.loss.known });\n",
    replace: '    return;\n',
  },
  {
    name: 'a node forgets with its process where logs ended',
    world,
    file: 'test/simulation/kept-ends.ts',
    find: '    return this.#ends.get(group) ?? null;',
    replace: '    return (this.#ends.get(group) && null) ?? null;',
  },
  {
    name: 'a node keeps no end that others told of',
    world,
    file: coordinator,
    find: '  if (!isSameEnd(before, report.known)) node.newEnds.add(config.name);\n',
    replace: '  void [before, node.newEnds, config];\n',
  },
  {
    name: 'a writer in doubt writes on',
    world,
    file: proving,
    find: 'writer.isHeld = member.doubt !== null;',
    replace: 'writer.isHeld = false;',
  },
];
