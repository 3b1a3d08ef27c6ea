/**
 * Deliberate breaks of the protocol. Each is a change of one place in the source; the simulation
 * must find a seed that shows the damage, or it proves nothing about the rest.
 */
import { flowMutants } from './flow-mutants.js';
import { lossMutants } from './loss-mutants.js';
import { operationMutants } from './operation-mutants.js';

export interface Mutant {
  readonly name: string;
  /** Whose runs have to show it; none: those about records. */
  readonly world?: 'flow' | 'loss';
  readonly file: string;
  /** Must occur exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

export const mutants: readonly Mutant[] = [
  {
    name: 'no fence: appends are stored whatever the log ends with',
    file: 'test/support/jetstream-model.ts',
    find: "if (last !== expected) return { kind: 'wrong-last' };",
    replace: 'void last;',
  },
  {
    name: 'the number of a refusal is adopted: append again behind the successor',
    file: 'replication/writer.ts',
    find: 'if (isRecord(decoded) && misfit(writer.tip, decoded, writer.judge) === undefined) {',
    replace: 'if (isRecord(decoded) && decoded.epoch < 0) {',
  },
  {
    name: 'no session table: a retry is decided again',
    file: 'replication/draft.ts',
    find: 'if (takeKnown(replica, delivery)) continue;',
    replace: '',
  },
  {
    name: 'a late copy below the floor is decided again',
    file: 'replication/draft.ts',
    find: 'if (refused !== undefined) return { refused };',
    replace: '',
  },
  {
    name: 'promote before replay',
    file: 'replication/promotion.ts',
    find: 'return startRecovery(promotion, writer.tip, writer.tip.position, now, out);',
    replace: `const { tip } = writer;
      const { snapshotPosition, snapshotSeq } = tip;
      const goal = { snapshotPosition, snapshotSeq, through: tip.position };
      promotion.recovery = newRecovery(promotion.config, promotion.calls, promotion.replica, goal);
      promotion.recovery.replica.tip = tip;
      return onRecovery(promotion, { kind: 'done' }, now, out);`,
  },
  {
    name: 'skip contiguity: a replayed record need not continue the log',
    file: 'replication/recovery.ts',
    find: 'const problem = misfit(replica.tip, record, judge);',
    replace: 'const problem = isRecord(record) ? undefined : misfit(replica.tip, record, judge);',
  },
  {
    name: 'a gap in the delivery is taken for a foreign record',
    file: 'replication/recovery.ts',
    find: 'if (outcome.record.position === found.at) {',
    replace: '{',
  },
  {
    name: 'new id on retry',
    file: 'test/simulation/client.ts',
    find: 'this.world.deliver(this, group, pending.batch, (answer) => {\n      this.#onAnswer(',
    replace: `const batch = { ...pending.batch, session: pending.batch.session + '#' + attempt };
    const checker = this.world.checker(group);
    let number = batch.first;
    for (const command of pending.commands) checker.noteSent(batch.session, number++, command);
    this.world.deliver(this, group, batch, (answer) => {
      this.#onAnswer(`,
  },
  {
    name: 'ack before commit',
    file: 'replication/active.ts',
    find: 'for (const delivery of draft.finished) active.inFlight.push(delivery);',
    replace: 'for (const delivery of draft.finished) answerRuns(active, delivery, out);',
  },
  {
    name: 'a rejection is answered without a record after it',
    file: 'replication/active.ts',
    find: 'for (const delivery of draft.finished) active.inFlight.push(delivery);',
    replace: `for (const delivery of draft.finished) {
    const isRejection = delivery.runs.every((run) => run.rejections?.length === run.count);
    if (isRejection) answerRuns(active, delivery, out);
    else active.inFlight.push(delivery);
  }`,
  },
  {
    name: 'a known answer does not wait for the record in flight',
    file: 'replication/active.ts',
    find: 'if (active.writer.inFlight !== null) active.inFlight.push(delivery);\n    else answer',
    replace: 'answer',
  },
  {
    name: 'a linearizable read without a record after it',
    file: 'replication/active.ts',
    find: "if (read.consistency === 'linearizable' && !covered) waiting.push(read);",
    replace: 'if (covered && !covered) waiting.push(read);',
  },
  {
    name: 'reads see what is not committed',
    file: 'replication/active.ts',
    find: '  active.reads.push({ ...read, coveredBy: null, heldUntilMs: null });\n',
    replace: `  if (read.consistency === 'local') {
    const { inFlight, tip } = active.writer;
    const ahead = { ...active.replica, tip: { ...tip, seq: inFlight?.record.seq ?? tip.seq } };
    out.push({ kind: 'answer-read', request: read.request, result: readReplica(ahead, read) });
    return;
  }
  active.reads.push({ ...read, coveredBy: null, heldUntilMs: null });\n`,
  },
  {
    name: 'a deposed active keeps what it decided ahead',
    file: 'replication/member.ts',
    find: '      member.replica = null;\n      member.remains = active.replica;\n      member.lastSyncMs = null;\n',
    replace: '      member.replica = active.replica;\n',
  },
  {
    name: 'an unknown outcome is taken for "not stored": the next record goes over it',
    file: 'replication/writer.ts',
    find: "    case 'wrong-last':\n    case 'unknown':",
    replace: `    case 'unknown':
      writer.inFlight = null;
      return { effects: [], events: [{ kind: 'committed', record: flight.record, sizeBytes: 0 }] };
    case 'wrong-last':`,
  },
  {
    name: 'corrupt chunks are installed',
    file: 'replication/sync/controller.ts',
    find: 'if (!equalBytes(found, hash)) return onWrong(sync, request, found, out);',
    replace: 'if (found.length === 0) return onWrong(sync, request, found, out);',
  },
  {
    name: 'snapshots leave the session table out',
    file: 'replication/snapshot/image.ts',
    find: 'sessions: unpackSessions(sessions, layout, keys), plain };',
    replace:
      'sessions: unpackSessions(sessions ? [[], [0, 0, []]] : null, layout ?? keys), plain };',
  },
  {
    name: 'a restored member knows no key that is in a page',
    file: 'replication/key-pages.ts',
    find: 'of entriesOf(pages.tree.root, {})) {\n    const start',
    replace: 'of entriesOf(pages.tree.root, { limit: 0 })) {\n    const start',
  },
  {
    name: 'an image is not frozen: pages are stored as they are later',
    file: 'replication/snapshot/image.ts',
    find: 'tree.freeze()] as const',
    replace: 'tree.root] as const',
  },
  {
    name: 'pages are built upon although their snapshot was never recorded',
    file: 'replication/snapshot/cut.ts',
    find: '  const deposited = cut.deposited as Deposited;\n',
    replace: `  const deposited = cut.deposited as Deposited;
  settleBase({ base: null, tables: deposited.of } as Replica, deposited);
`,
  },
  {
    name: 'a cut puts as many chunks at once as there are',
    file: 'replication/snapshot/cut.ts',
    find: 'puts.size < putsInFlight',
    replace: 'puts.size < 1000',
  },
  {
    name: 'a source is never free of what it was asked for',
    file: 'replication/sync/coordinator.ts',
    find: 'from.inFlight -= 1;',
    replace: '',
  },
  {
    name: 'a base is built upon though it does not stand any more',
    file: 'replication/snapshot/cut.ts',
    find: 'if (cut.base !== null && !result.standing.includes(cut.base.snapshotId)) cut.base = null;',
    replace: '',
  },
  {
    name: 'a leaf is built upon what the base does not name',
    file: 'replication/snapshot/depositing.ts',
    find: 'if (!segments.every(({ chunk }) => base?.uses.has(keyOf(chunk)))) return null;',
    replace: '',
  },
  {
    name: 'a snapshot is pinned before all of it is stored',
    file: 'replication/snapshot/cut.ts',
    find: 'if (deposited === null || puts.size > 0) return busy;',
    replace: 'if (deposited === null) return busy;',
  },
  {
    name: 'garbage collection takes no account of announcements',
    file: 'replication/snapshot/collection.ts',
    find: 'const open = pins.filter(({ isOpen }) => isOpen);',
    replace: 'const open = pins.filter(() => false);',
  },
  {
    name: 'garbage collection takes what was put since it looked',
    file: 'test/support/model-chunks.ts',
    find: 'found.at < before) this.#chunks',
    replace: 'before > 0) this.#chunks',
  },
  {
    name: 'a snapshot is cut while something is decided ahead',
    file: 'replication/active.ts',
    find: '  if (writer.inFlight !== null && !wantsRest(active, now)) fillDraft(active, now, out);',
    replace: `  if (writer.inFlight !== null && isDue(active.cutting, writer.tip, now)) {
    beginSnapshot(active.cutting, active.replica, now, out);
  }
  if (writer.inFlight !== null && !wantsRest(active, now)) fillDraft(active, now, out);`,
  },
  {
    name: 'a claim after a stranger is taken for one after the log',
    file: 'replication/promotion.ts',
    find: 'if (!equalBytes(replica.tip.hash, writer.tip.hash)) {',
    replace: 'if (replica.tip.epoch !== writer.tip.epoch) {',
  },
  {
    name: 'an old record at the end of the log is waited out for ever',
    file: 'replication/promotion.ts',
    find: 'promotion.attempts >= looksBeforeSurvey',
    replace: 'promotion.attempts < 0',
  },
  {
    name: 'the record of a stranger is never passed over',
    file: 'replication/recovery.ts',
    find: 'replica.tip = { ...replica.tip, position: found.at };',
    replace: '',
  },
  {
    name: 'results stay parts of the state',
    file: 'replication/decide.ts',
    find: 'result: bytes === null ? result : decodeValue(bytes)',
    replace: 'result',
  },
  {
    name: 'reads hand out the state itself',
    file: 'replication/active.ts',
    find: 'value: structuredClone(value)',
    replace: 'value',
  },
  {
    name: 'the state goes on after poison',
    file: 'replication/active.ts',
    find: 'active.spoilt = true;',
    replace: 'active.spoilt = false;',
  },
  {
    name: 'what was drafted before poison is answered twice',
    file: 'replication/draft.ts',
    find: 'delivery.runs.length = runs;',
    replace: '',
  },
  {
    name: 'poison is forgotten and met again',
    file: 'replication/draft.ts',
    find: 'delivery.poison.set(delivery.decided, messageOf(error));',
    replace: '',
  },
  {
    name: 'a key is looked up in the table only, not in the batch itself',
    file: 'replication/draft.ts',
    find: 'run.keys.has(key) || replica.sessions.byKey.has(key)',
    replace: 'replica.sessions.byKey.has(key)',
  },
  {
    name: 'keys are not part of the state',
    file: 'replication/sessions.ts',
    find: 'if (run.keys !== null) recordKeys(table, run.keys, answer);',
    replace: '',
  },
  {
    name: 'a hand-off that the fence ends is never answered',
    file: 'replication/active.ts',
    find: 'if (active.handOff !== null) {\n    const { request } = active.handOff;',
    replace:
      'if (active.handOff !== null && active.doubted) {\n    const { request } = active.handOff;',
  },
  {
    name: 'a due snapshot wakes the member until there is a rest',
    file: 'replication/active.ts',
    find: 'if (writer.inFlight !== null || spoilt) return machinesAtMs;',
    replace: '',
  },
  {
    name: 'signatures are not checked',
    file: 'replication/signature.ts',
    find: 'if (signature === null) return false;',
    replace: 'if (signature !== undefined) return true;',
  },
  {
    name: 'what is heard live need not be what is stored next',
    file: 'replication/follow.ts',
    find: 'const isNext = previous === replica.tip.position;',
    replace: 'const isNext = previous >= 0;',
  },
  {
    name: "a copy of the record one stands at is taken for the log's last",
    file: 'replication/promotion.ts',
    find: 'const standsThere = replica !== null && replica.tip.position === promotion.claimedBehind;',
    replace: 'const standsThere = replica !== null;',
  },
  {
    name: 'a follower believes silence',
    file: 'replication/follow.ts',
    find: 'const isDeaf = follow.lacked !== null && at < follow.lacked;',
    replace: 'const isDeaf = false;',
  },
  {
    name: "a follower's snapshot needs no witness",
    file: 'replication/snapshot/cutting.ts',
    find: 'if (!offer?.body || !hasWitness(mark, offer)) return;',
    replace: 'if (!offer?.body || hasWitness === null) return;',
  },
  {
    name: 'commands are decided between a mark and the look at its state',
    file: 'replication/active.ts',
    find: 'waits || vouches(cutting) || isDue',
    replace: 'waits || isDue',
  },
  {
    name: 'whoever claims is taken to stand right before its claim',
    file: 'replication/promotion.ts',
    find: 'if (standsThere && equalBytes(replica.tip.hash, claimed.previous)) {',
    replace: 'if (replica !== null) {',
  },
  {
    name: 'reads of a session go back in time',
    file: 'replication/active.ts',
    find: 'if (at < read.minSeq) {',
    replace: 'if (at < 0) {',
  },
  {
    name: 'reads that wait at a standby are forgotten when its role changes',
    file: 'replication/standby-reads.ts',
    find: 'for (const { read } of reader.reads) {',
    replace: 'for (const { read } of reader.reads.slice(0, 0)) {',
  },
  {
    name: 'an active begins anew when asked to',
    file: 'replication/member.ts',
    find: "const leads = state === 'active' ||",
    replace: 'const leads =',
  },
  {
    name: 'a pause is ignored',
    file: 'cluster/coordinator.ts',
    find: "const heldMs = vacancy.cause === 'created' ? 0 : heldUntilMs(node, group);",
    replace: 'const heldMs = heldUntilMs(node, group) * 0;',
  },
  {
    name: 'a pause never ends',
    file: 'cluster/pause.ts',
    find: 'return { pause, untilMs: now.monoMs + leftMs };',
    replace: 'return { pause, untilMs: now.monoMs + leftMs * 1e9 };',
  },
  {
    name: 'a pause lasts as long as a wrong clock says',
    file: 'cluster/pause.ts',
    find: 'Math.min(pause.ttlMs, Math.max(0, pause.untilMs - now.wallMs))',
    replace: 'Math.max(0, pause.untilMs - now.wallMs)',
  },
  {
    name: 'a cordoned node is no candidate',
    file: 'cluster/succession.ts',
    find: 'if (!isUp || report === undefined',
    replace: 'if (!isUp || cordoned.has(node) || report === undefined',
  },
  {
    name: 'a lost member is placed on a cordoned node',
    file: 'cluster/coordinator.ts',
    find: '!node.cordoned.has(info.id) && ',
    replace: '',
  },
  {
    name: 'a standby that sleeps and lost the notice of a snapshot is not woken',
    file: 'cluster/coordinator.ts',
    find: '    wake(group, report, out);',
    replace: '',
  },
  {
    name: 'a node that is cut off judges the others',
    file: 'cluster/membership.ts',
    find: 'const hears = isEchoFresh(membership, nowMs) && nowMs >= membership.deafUntilMs;',
    replace: 'const hears = nowMs >= membership.deafUntilMs;',
  },
  {
    name: 'whoever hears again takes those for silent whom it missed',
    file: 'cluster/membership.ts',
    find: `    membership.deafUntilMs = nowMs + membership.timings.graceMs;
    forgiveSilence(membership, nowMs);`,
    replace: '',
  },
  ...operationMutants,
  ...lossMutants,
  ...flowMutants,
];
