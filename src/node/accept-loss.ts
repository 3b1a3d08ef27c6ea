/** The way on for a group whose log has lost records: an operator says so, or brings the store back. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LossDocument } from '../../cluster/documents.js';
import { eraOf, unheardOf, withLossAccepted } from '../../cluster/losses.js';
import type { AcceptedLoss, GroupConfig } from '../../cluster/types.js';
import { UnderstudyError } from '../../replication/errors.js';
import type { Log } from '../../replication/ports.js';
import { decodeRecord, isRecord } from '../../replication/record.js';
import type { AcceptLossRequest, Actor } from '../admin/backend.js';
import { instant } from './clock.js';
import type { Runtime } from './runtime.js';

const letGoMs = 3000;
const lookEveryMs = 50;

/**
 * The group goes on from where its log ends. Resolves when every member has let go of what is gone whose
 * node is up, or after `letGoMs`: until then a standby may still show it. Throws `conflict` if the group
 * misses nothing, or if its log does not end where the operator thinks; then nothing is changed.
 */
export async function acceptLoss(
  runtime: Runtime,
  { config, lost }: { readonly config: GroupConfig; readonly lost: LossDocument | null },
  { through }: AcceptLossRequest,
  { by }: Actor,
): Promise<void> {
  const { name } = config;
  if (lost === null) {
    const detail = `no member of ${name} misses anything in its log: there is no loss to accept`;
    throw new UnderstudyError('conflict', detail);
  }
  const end = await endOf(runtime.ports(config).log);
  if (end.seq !== through) {
    const detail =
      `the log of ${name} ends at seq ${end.seq} of epoch ${end.epoch}, not at ${through}; ` +
      'look at what is lost, and ask again with where it ends';
    throw new UnderstudyError('conflict', detail);
  }
  const accepted: AcceptedLoss = {
    through,
    epoch: end.epoch,
    lostSeq: lost.toSeq,
    lostEpoch: lost.epoch,
    by,
    atMs: instant().wallMs,
  };
  await runtime.registry.changeGroup(name, (now) => {
    if (eraOf(now) === eraOf(config)) return withLossAccepted(now, accepted);
    throw new UnderstudyError(
      'conflict',
      `a loss of ${name} was accepted just now by somebody else`,
    );
  });
  await allLetGo(runtime, config);
}

async function allLetGo({ coordinator }: Runtime, before: GroupConfig): Promise<void> {
  const { groups, membership } = coordinator;
  const isUp = (node: string) => membership.nodes.get(node)?.state === 'up';
  const deadlineMs = instant().monoMs + letGoMs;
  while (instant().monoMs < deadlineMs) {
    const group = groups.get(before.name);
    if (group === undefined) return;
    const isKnown = eraOf(group.config) > eraOf(before);
    if (isKnown && unheardOf(group, isUp).length === 0) return;
    await delay(lookEveryMs);
  }
}

/** Throws `broker-unavailable`. */
function endOf(log: Log): Promise<{ readonly seq: number; readonly epoch: number }> {
  return new Promise((resolve, reject) => {
    log.last((outcome) => {
      if (outcome.kind === 'failed') {
        const detail = `the log cannot be read: ${outcome.reason}`;
        return reject(new UnderstudyError('broker-unavailable', detail));
      }
      const record = outcome.kind === 'record' ? decodeRecord(outcome.record.bytes) : null;
      resolve(record !== null && isRecord(record) ? record : { seq: 0, epoch: 0 });
    });
  });
}
