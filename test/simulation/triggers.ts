/** Triggers of machines on a simulated node: they fire, fail, fire twice, and fire although they were told to stop. */
import type { Effect, Input } from '../../replication/effects.js';
import type { Random } from '../support/scheduler.js';
import { Violation } from './checker.js';
import type { Hosted } from './hosted.js';

export type TriggerEffect = Extract<Effect, { kind: 'arm' | 'disarm' }>;

export function onTrigger(
  random: Random | null,
  hosted: Hosted,
  effect: TriggerEffect,
  /** What is to be told later; making it is when the trigger ends. */
  later: (ms: number, ended: () => Input) => void,
): void {
  if (random === null) throw new Error('the simulated kind has no machines');
  const { call } = effect;
  if (effect.kind === 'disarm') {
    if (!hosted.triggers.delete(call)) throw new Violation('I6', `nobody runs trigger ${call}`);
    const late = fired(call, random);
    // What it had on its tongue may still be heard.
    if (random.chance(0.3)) later(random.next() * 100, () => late);
    return;
  }
  const { role } = hosted.member;
  if (role.state !== 'active') throw new Violation('I6', `a ${role.state} runs trigger ${call}`);
  hosted.triggers.add(call);
  // Some never fire: their machine has a deadline.
  if (random.chance(0.2)) return;
  const afterMs = random.next() ** 3 * 1500;
  const input = random.chance(0.3) ? failed(call, random) : fired(call, random);
  const ended = () => {
    hosted.triggers.delete(call);
    return input;
  };
  later(afterMs, ended);
  if (random.chance(0.2)) later(afterMs + random.next() * 200, ended);
}

function fired(call: number, random: Random): Input {
  const output = { by: random.below(1000), throws: random.chance(0.05) };
  return { kind: 'trigger-ended', call, result: { output }, chance: random.next() };
}

function failed(call: number, random: Random): Input {
  return { kind: 'trigger-ended', call, result: { failure: 'down' }, chance: random.next() };
}

/** I6, and what the active believes to be running is what runs. */
export function checkTriggers(node: string, { member, triggers }: Hosted): void {
  const { role } = member;
  const arming = role.state === 'active' ? role.active.arming : null;
  const known = arming?.byCall ?? new Map<number, unknown>();
  const isSame = known.size === triggers.size && [...triggers].every((call) => known.has(call));
  if (isSame) return;
  const calls = [...triggers].join(', ') || 'none';
  const expected = [...known.keys()].join(', ') || 'none';
  throw new Violation(
    'I6',
    `${node} is ${role.state}, runs triggers ${calls} and knows ${expected}`,
  );
}
