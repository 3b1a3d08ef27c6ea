/** What members fetch while a command waits for them, for readers at a terminal. */
import { setTimeout } from 'node:timers/promises';
import type { MemberDocument } from '../../cluster/documents.js';
import { isTerminal } from './io.js';
import { type SyncBars, showSyncs } from './progress.js';
import type { Session } from './session.js';

const lookEveryMs = 500;

/** What `work` comes to. Meanwhile the syncs of these members of the group are shown, if anybody looks. */
export async function whileSyncing<Result>(
  session: Session,
  group: string,
  work: () => Promise<Result>,
  isMeant: (member: MemberDocument) => boolean = () => true,
): Promise<Result> {
  const { stderr } = session.io;
  if (session.json || !isTerminal(stderr)) return await work();
  const bars = showSyncs(stderr);
  const ended = new AbortController();
  session.aside = bars.note;
  void watch(session, group, isMeant, bars, ended.signal);
  try {
    return await work();
  } finally {
    ended.abort();
    session.aside = null;
    bars.stop();
  }
}

async function watch(
  { client }: Session,
  group: string,
  isMeant: (member: MemberDocument) => boolean,
  bars: SyncBars,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    // Only decoration: what is wrong the command itself will say.
    const found = await client.group(group).catch(() => null);
    if (signal.aborted) return;
    if (found !== null) bars.show(found.members.filter(isMeant));
    await setTimeout(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }
}
