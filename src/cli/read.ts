/** Commands that read a group's state and log. */
import { type Command, Option } from 'commander';
import type { Consistency } from '../../replication/effects.js';
import type { EventEntry } from '../admin/backend.js';
import { write } from './io.js';
import { json, token, whole } from './parse.js';
import { handle, type Run, type Session } from './session.js';

interface QueryOptions {
  readonly consistency?: Consistency;
  readonly at?: number;
  readonly after?: string;
  readonly timeout?: number;
}

export function addReadCommands(program: Command, run: Run): void {
  const query = program
    .command('query')
    .description("run one of the kind's queries, or show the whole state without a name")
    .argument('<group>')
    .argument('[name]')
    .argument('[json]', 'arguments of the query', json)
    .addOption(
      new Option(
        '--consistency <level>',
        'what the answer promises (default: linearizable)',
      ).choices(['linearizable', 'local', 'standby']),
    )
    .option('--at <seq>', 'whole state: at exactly this seq; query: at this seq or later', whole(0))
    .option('--after <token>', 'of an earlier answer: no state that is older than that', token)
    .option('--timeout <ms>', 'how long to look for such a state (10000)', whole(1, 60_000))
    .addHelpText(
      'after',
      '\nEvery answer has a token, on stderr, or in the document with --json; so has `deliver --json`.',
    );
  handle<[string, string | undefined, unknown], QueryOptions>(query, run, readState);
  const events = program
    .command('events')
    .description('the log, one JSON document a line')
    .argument('<group>')
    .option('--from <seq>', 'first seq', whole(1), 1)
    .option('--to <seq>', 'last seq; without it the end of the log', whole(1));
  handle<[string], { from: number; to?: number }>(events, run, printEvents);
}

async function readState(
  session: Session,
  [group, name, args]: [string, string | undefined, unknown],
  { consistency, at, after, timeout: timeoutMs }: QueryOptions,
): Promise<number> {
  const { client } = session;
  const read = { consistency, after, timeoutMs };
  const answer =
    name === undefined
      ? await client.state(group, { ...read, at })
      : await client.query(group, { ...read, name, args, minSeq: at });
  await session.show(answer, () => `${JSON.stringify(answer.value, null, 2)}\n`);
  const { seq, epoch, member, token: seen } = answer;
  await session.note(`seq ${seq}, epoch ${epoch}, member ${member}, token ${seen}`);
  return 0;
}

async function printEvents(
  session: Session,
  [group]: [string],
  range: { readonly from: number; readonly to?: number },
): Promise<number> {
  const { stdout } = session.io;
  let next: number | null = range.from;
  let printed = 0;
  if (session.json) await write(stdout, '{"events":[');
  while (next !== null) {
    const page = await session.client.events(group, { from: next, to: range.to });
    await write(stdout, pageText(page.events, session.json, printed > 0));
    printed += page.events.length;
    next = page.next;
  }
  if (session.json) await write(stdout, ']}\n');
  return 0;
}

/** Lines, or items of a list that goes on. */
function pageText(events: readonly EventEntry[], asList: boolean, goesOn: boolean): string {
  const texts = events.map((entry) => JSON.stringify(entry));
  if (!asList) return texts.map((text) => `${text}\n`).join('');
  return `${goesOn && texts.length > 0 ? ',' : ''}${texts.join(',')}`;
}
