/** Compares what clients of a group were told with its log. Pure: histories in, violations out. */
import type { Kind } from '../../../replication/kind.js';
import type { DeliveryCall, History, ReadCall } from '../history.js';
import { checkHistory, type Logged, type Operation } from './check-history.js';
import type { Decided, ReadLog } from './log.js';
import { type Answer, type Ask, accepted, modelOf, refused } from './model.js';
import { type CheckName, mostShown, type Violation } from './violation.js';

export function checkGroup(kind: Kind, history: History, log: ReadLog): Violation[] {
  const says = (check: CheckName, details: readonly string[]): Violation[] =>
    details.slice(0, mostShown).map((detail) => ({ check, group: history.group, detail }));
  const byId = new Map<string, Decided>();
  for (const decided of log.decided) {
    if (decided.id !== null && !byId.has(decided.id)) byId.set(decided.id, decided);
  }
  const found = [
    ...says('acknowledged-in-log', lost(history, byId)),
    ...says('nothing-doubled', doubled(log)),
    ...says('nothing-invented', invented(kind, history, log)),
    ...says('session', [...setBack(history), ...behind(history), ...misplaced(history, log)]),
    ...says('epochs', disordered(log)),
  ];
  // Without the place of every answer there is no order to check.
  if (found.some(({ check }) => check !== 'session')) return found;
  return [...found, ...says('linearizable', outOfOrder(kind, history, log, byId))];
}

/** Nothing that was acknowledged is lost or elsewhere (I2), nothing refused is there (I4). */
function lost({ deliveries }: History, byId: ReadonlyMap<string, Decided>): string[] {
  return deliveries.flatMap((call) => lostOne(call, byId.get(call.id)) ?? []);
}

function lostOne({ id, outcome }: DeliveryCall, decided: Decided | undefined): string | null {
  const place = decided && `seq ${decided.seq} of epoch ${decided.epoch}`;
  switch (outcome.kind) {
    case 'unknown':
      return null;
    case 'not-taken':
      if (decided === undefined) return null;
      return `${id} was said not to be taken (${outcome.code}), and the log has it at ${place}`;
    case 'accepted': {
      const told = `${id} was acknowledged at seq ${outcome.seq} of epoch ${outcome.epoch}`;
      if (decided === undefined) return `${told}; the log lacks it`;
      if (decided.rejection !== null) return `${told}; the log refuses it (${decided.rejection})`;
      const isThere = decided.seq === outcome.seq && decided.epoch === outcome.epoch;
      return isThere ? null : `${told}; the log has it at ${place}`;
    }
    case 'rejected':
      if (decided === undefined) return `${id} was refused (${outcome.code}); the log lacks that`;
      if (decided.rejection !== null) return null;
      return `${id} was refused (${outcome.code}), and the log has it at ${place}`;
  }
}

function doubled({ decided }: ReadLog): string[] {
  const seen = new Map<string, number>();
  return decided.flatMap(({ id, seq }) => {
    if (id === null) return [];
    const before = seen.get(id);
    seen.set(id, seq);
    return before === undefined ? [] : [`${id} is in the log at seq ${before} and at ${seq}`];
  });
}

/** Machines of the kind write as well; nobody else does. */
function invented(kind: Kind, { deliveries }: History, { decided }: ReadLog): string[] {
  const asked = new Set(deliveries.map(({ id }) => id));
  return decided.flatMap(({ id, seq }) => {
    if (id === null ? kind.machines !== undefined : asked.has(id)) return [];
    return [`${id ?? 'a command of nobody'} is in the log at seq ${seq}; no client sent it`];
  });
}

/**
 * Nobody goes back in time behind what it was told itself, whichever member answers (P11): a library sees
 * to that, a plain request has to ask for it.
 */
function setBack({ deliveries, reads }: History): string[] {
  const problems: string[] = [];
  const told = [...deliveries, ...reads].sort((a, b) => a.returnedAt - b.returnedAt);
  const calls = [...reads].sort((a, b) => a.calledAt - b.calledAt);
  const floors = new Map<string, number>();
  let at = 0;
  for (const read of calls) {
    for (let next = told[at]; next && next.returnedAt < read.calledAt; next = told[++at]) {
      floors.set(next.client, Math.max(floors.get(next.client) ?? 0, seqOf(next)));
    }
    const isSession = read.door === 'program' || read.consistency === 'linearizable';
    const floor = Math.max(isSession ? (floors.get(read.client) ?? 0) : 0, read.minSeq);
    if (read.seq >= floor) continue;
    const { client, consistency, seq, member } = read;
    problems.push(
      `${client} had been told of seq ${floor}, and member ${member} answered its ${consistency} ` +
        `read from seq ${seq}`,
    );
  }
  return problems;
}

function seqOf(call: DeliveryCall | ReadCall): number {
  if ('seq' in call) return call.seq;
  return call.outcome.kind === 'accepted' ? call.outcome.seq : 0;
}

/**
 * The active of an epoch answers from all that anybody was told in it or before it; only one that is
 * deposed and does not know it yet may answer with what was true before (P11).
 */
function behind({ deliveries, reads }: History): string[] {
  const byActives = reads.filter(({ consistency }) => consistency !== 'standby');
  const told = [...deliveries.filter(wasAccepted), ...byActives].sort(
    (a, b) => a.returnedAt - b.returnedAt,
  );
  const locals = reads.filter(({ consistency }) => consistency === 'local');
  const latest: number[] = [];
  let at = 0;
  return locals
    .sort((a, b) => a.calledAt - b.calledAt)
    .flatMap(({ client, seq, epoch, member, calledAt }) => {
      for (let next = told[at]; next && next.returnedAt < calledAt; next = told[++at]) {
        latest[epochOf(next)] = Math.max(latest[epochOf(next)] ?? 0, seqOf(next));
      }
      let before = epoch;
      while (before > 0 && latest[before] === undefined) before -= 1;
      const floor = latest[before] ?? 0;
      if (seq >= floor) return [];
      return [
        `member ${member} answered a local read of ${client} from seq ${seq} of epoch ${epoch}, ` +
          `when somebody had been told of seq ${floor} in epoch ${before}`,
      ];
    });
}

const wasAccepted = ({ outcome }: DeliveryCall): boolean => outcome.kind === 'accepted';

function epochOf(call: DeliveryCall | ReadCall): number {
  if ('epoch' in call) return call.epoch;
  return call.outcome.kind === 'accepted' ? call.outcome.epoch : 0;
}

/** A read names an epoch and a seq that the log has together. */
function misplaced({ reads }: History, { epochs }: ReadLog): string[] {
  const starts = new Map(epochs.map(({ epoch, fromSeq }) => [epoch, fromSeq]));
  return reads.flatMap(({ client, consistency, seq, epoch, member }) => {
    const from = starts.get(epoch);
    const to = starts.get(epoch + 1) ?? Number.POSITIVE_INFINITY;
    if (from !== undefined && seq >= from && seq <= to) return [];
    const place = from === undefined ? 'does not have' : `has from seq ${from} to seq ${to}`;
    return [
      `member ${member} answered a ${consistency} read of ${client} from seq ${seq} of epoch ` +
        `${epoch}, which the log ${place}`,
    ];
  });
}

function disordered({ epochs, decided }: ReadLog): string[] {
  const problems: string[] = [];
  for (const [i, { epoch }] of epochs.entries()) {
    const before = epochs[i - 1]?.epoch ?? 0;
    if (epoch !== before + 1) problems.push(`epoch ${epoch} follows epoch ${before}`);
  }
  let last = 0;
  for (const { epoch, seq } of decided) {
    if (epoch < last) problems.push(`seq ${seq} is of epoch ${epoch}, after records of ${last}`);
    last = epoch;
  }
  return problems;
}

/** Every answer is the one of a serial replay, in an order that no clock contradicts (I3). */
function outOfOrder(
  kind: Kind,
  history: History,
  log: ReadLog,
  byId: ReadonlyMap<string, Decided>,
): string[] {
  const commands = new Map(history.deliveries.map(({ id, command }) => [id, command]));
  const logged = log.decided.flatMap((decided, i): Logged<Ask>[] => {
    const { id, seq: position, events } = decided;
    if (events.length === 0) return [];
    const command = id === null ? undefined : commands.get(id);
    const ask = { kind: 'command', command, decided } as const;
    return [{ id: id ?? `#${i}`, position, size: events.length, command: ask }];
  });
  const operations = [
    ...history.deliveries.flatMap((call) => deliveryOf(call, byId.get(call.id))),
    ...history.reads.map(readOf),
  ];
  const verdict = checkHistory(operations, logged, modelOf(kind));
  return verdict.ok ? [] : [`${verdict.id} ${verdict.reason}`];
}

function deliveryOf(
  { id, command, outcome, calledAt, returnedAt }: DeliveryCall,
  decided: Decided | undefined,
): Operation<Ask, Answer>[] {
  if (decided === undefined || outcome.kind === 'not-taken') return [];
  const ask = { kind: 'command', command, decided } as const;
  const at = { id, command: ask, calledAt, returnedAt };
  if (outcome.kind === 'unknown') {
    // A refusal that nobody was told of changes nothing.
    return decided.events.length === 0 ? [] : [{ ...at, outcome: { kind: 'unknown' } }];
  }
  const kind = decided.events.length > 0 ? 'written' : 'looked';
  const answer = outcome.kind === 'rejected' ? refused(outcome.code) : accepted(outcome.result);
  return [{ ...at, outcome: { kind, position: decided.seq, answer } }];
}

/** What is no linearizable read only has to be true of the state that it names. */
function readOf(read: ReadCall, i: number): Operation<Ask, Answer> {
  const { query, args, consistency, seq: position, value, client } = read;
  const isOrdered = consistency === 'linearizable';
  return {
    id: `${consistency} read ${i} of ${client} (${query} at seq ${position})`,
    command: { kind: 'query', query, args },
    calledAt: isOrdered ? read.calledAt : Number.NEGATIVE_INFINITY,
    returnedAt: isOrdered ? read.returnedAt : Number.POSITIVE_INFINITY,
    outcome: { kind: 'looked', position, answer: accepted(value) },
  };
}
