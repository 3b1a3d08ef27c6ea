/** One round of faults after the other, each mended before the next. */
import type { GroupDetail } from '../../cluster/documents.js';
import type { AdminClient } from '../client/admin.js';
import type { Violation } from './check/violation.js';
import { type History, nowMs } from './history.js';
import type { Stretch } from './measure.js';
import type { Stage } from './stage.js';
import { until } from './until.js';

/** What of a stage has to be there to play a round on it. */
export type Played = Pick<Stage, 'faults' | 'losses' | 'chance' | 'heal' | 'wait'>;

export interface RoundsOptions {
  readonly stage: Played;
  readonly round: () => Promise<void>;
  readonly leastRounds: number;
  readonly histories: readonly History[];
  /** From the end of a fault until everybody has to serve again. */
  readonly boundMs: number;
  isWhole(): Promise<boolean>;
  say(line: string): void;
}

const restMs = { least: 500, most: 3000 };

export class Rounds {
  /** From whole again until the next fault. */
  readonly rests: Stretch[] = [];

  constructor(private readonly options: RoundsOptions) {}

  /**
   * No round begins after `untilMs`, but there are as many as there have to be. A cluster that does not
   * recover ends it (I9).
   */
  async play(untilMs: number): Promise<Violation[]> {
    const { stage, round, leastRounds, boundMs, say } = this.options;
    let played = 0;
    do {
      const before = stage.faults.length;
      try {
        await round();
        await stage.heal();
      } catch (error) {
        return [violation(`a round of faults failed: ${(error as Error).message}`)];
      }
      const told = stage.faults.slice(before).map(({ what, target }) => `${target} ${what}`);
      const healedMs = nowMs();
      try {
        await until('every group serves again', () => this.#isBack(healedMs), boundMs);
      } catch (error) {
        return [violation(`after ${told.join('; ')}: ${(error as Error).message}`)];
      }
      say(`${told.join('; ')}; whole again after ${Math.round(nowMs() - healedMs)} ms`);
      const fromMs = nowMs();
      await stage.wait(stage.chance.between(restMs.least, restMs.most));
      this.rests.push({ fromMs, toMs: nowMs() });
      played += 1;
    } while (nowMs() < untilMs || played < leastRounds);
    return [];
  }

  /** Whole by its own account, and something that was asked after the fault has been acknowledged. */
  async #isBack(healedMs: number): Promise<boolean> {
    const serve = this.options.histories.every(
      ({ deliveries }) =>
        deliveries.findLast(
          ({ returnedAt, calledAt }) => returnedAt < nowMs() && calledAt > healedMs,
        ) !== undefined,
    );
    return serve && (await this.options.isWhole());
  }
}

export async function areWhole(
  admin: Pick<AdminClient, 'group'>,
  groups: readonly string[],
): Promise<boolean> {
  const documents = await Promise.all(groups.map((name) => admin.group(name)));
  return documents.every(isWhole);
}

/** Somebody serves, and every member is in step. */
export function isWhole({ health, reprotected, activeNode, quarantined }: GroupDetail): boolean {
  return health.healthy === health.total && reprotected && activeNode !== null && !quarantined;
}

const violation = (detail: string): Violation => ({ check: 'liveness', group: null, detail });
