/** All kinds of operations. */
import { deletion } from './delete.js';
import { failover } from './failover.js';
import { drain, rebalance } from './moves.js';
import type { OperationKind } from './operation.js';
import { reinit } from './reinit.js';
import { replace } from './replace.js';
import { restart } from './restart.js';
import { switchover } from './switchover.js';
import { sync } from './sync.js';

/** What a kind puts into `data` is read by nobody else, so its type is known there only. */
const erased = <Data>(kind: OperationKind<Data>): OperationKind<unknown> =>
  kind as unknown as OperationKind<unknown>;

export const operationKinds: ReadonlyMap<string, OperationKind<unknown>> = new Map(
  [
    erased(switchover),
    erased(failover),
    erased(reinit),
    erased(replace),
    erased(drain),
    erased(rebalance),
    erased(restart),
    erased(deletion),
    erased(sync),
  ].map((kind) => [kind.name, kind]),
);
