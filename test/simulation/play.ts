/** What a world is about: the kind its groups run, who checks them, and what their triggers do. */
import type { Kind } from '../../replication/kind.js';
import type { Random } from '../support/scheduler.js';
import { GroupChecker } from './checker.js';
import { traceKind } from './kind.js';

export interface Play {
  readonly kind: Kind;
  checker(group: string): GroupChecker;
  /** Chance for what triggers do; null: the kind has no machines. */
  readonly triggers: Random | null;
}

export const tracePlay: Play = {
  kind: traceKind as Kind,
  checker: (group) => new GroupChecker(group),
  triggers: null,
};
