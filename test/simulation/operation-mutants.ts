/** Deliberate breaks of what operations promise; runs with operators have to show each. */
import type { Mutant } from './mutants.js';

const engine = 'cluster/operations/engine.ts';
const takeover = 'cluster/operations/takeover.ts';

export const operationMutants: readonly Mutant[] = [
  {
    name: 'a step acts before it is on record',
    file: engine,
    find: "  save(drive, 'saving', advanced(drive.operation as Operation, outcome, now.wallMs), out);",
    replace: `  drive.operation = advanced(drive.operation as Operation, outcome, now.wallMs);
  observe(drive, out);`,
  },
  {
    name: 'an operation that has ended keeps its locks',
    file: engine,
    find: "  out.push({ kind: 'unlock', holder: holderOf(operation), keys: 'all' });\n",
    replace: '',
  },
  {
    name: 'a step acts without its locks',
    file: engine,
    find: 'if (wanted.every((key) => drive.held.includes(key))) return observe(drive, out);',
    replace: 'if (wanted.length >= 0) return observe(drive, out);',
  },
  {
    name: 'a driver that was taken for dead drives on',
    file: engine,
    find: '  if (driver !== null && !sameDriver(driver, drive.from)) return end(drive, null, out);\n',
    replace: '',
  },
  {
    name: 'checkpoints are written whatever is on record',
    file: 'test/simulation/operations/store.ts',
    find: "    if ((before?.revision ?? 0) !== revision) return 'conflict';\n",
    replace: '',
  },
  {
    name: 'an operation is taken over from a driver that is there',
    file: takeover,
    find: "return view.state === 'down' || view.info.incarnation > incarnation;",
    replace: "return view.state !== 'up' || view.info.incarnation > incarnation;",
  },
  {
    name: 'nobody takes an operation over',
    file: takeover,
    find: 'const isFree = driver === null || isGone(',
    replace: 'const isFree = driver === null && isGone(',
  },
  {
    name: 'an operation goes on though it is cancelled',
    file: engine,
    find: 'kind?.sealed?.includes(operation.step) !== true;',
    replace: 'kind?.sealed?.includes(operation.step) === true;',
  },
  {
    name: 'a drain that ends otherwise than done leaves its node draining',
    file: 'cluster/operations/moves.ts',
    find: "  takesBack: { after: ['marking', 'moving'], step: 'putting-back' },\n",
    replace: '',
  },
  {
    name: 'a member that begins anew need not have forgotten',
    file: 'cluster/operations/reinit.ts',
    find: "  return { kind: 'next', step: 'forgetting', detail, data: { node: member.nodeId } };",
    replace: "  return { kind: 'next', step: 'syncing', detail, data: { node: member.nodeId } };",
  },
  {
    name: 'a promotion that comes late ends another epoch',
    file: 'replication/promotion.ts',
    find: 'if (tip.epoch > cause.endsEpoch) return lost(',
    replace: 'if (tip.epoch > cause.endsEpoch + 9) return lost(',
  },
  {
    name: 'what runs is begun anew when it is asked for again',
    file: 'cluster/operations/operation.ts',
    find: "if (found?.state === 'running' || (found?.state === 'done' && !repeatable)) return null;",
    replace: "if (found?.state === 'done' && !repeatable) return null;",
  },
  {
    name: 'locks of others are taken',
    file: 'cluster/operations/locks.ts',
    find: 'if (other !== undefined && other !== holder && isLive(other)) {',
    replace: 'if (other !== undefined && other !== holder && other === key && isLive(other)) {',
  },
  {
    name: 'a driver whose save was refused goes on',
    file: engine,
    find: "    drive.from = null;\n    return load(drive, 'loading', out);\n  }\n  drive.revision",
    replace: '    return secure(drive, out);\n  }\n  drive.revision',
  },
  {
    name: 'a record that is read as it was before is gone by',
    file: engine,
    find: '  if (revision < before) return comeBack(drive, now, out);\n',
    replace: '',
  },
];
