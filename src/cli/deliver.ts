/** `understudy deliver`: NDJSON in, one event a line. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { UnderstudyError } from '../../replication/errors.js';
import { limits } from '../../replication/limits.js';
import { type RawLine, readLines } from '../admin/ndjson.js';
import { documentOf, PartlyDone } from './failures.js';
import { type Io, write } from './io.js';
import { whole } from './parse.js';
import { showProgress } from './progress.js';
import { handle, type Run, type Session } from './session.js';
import { type Tally, upload } from './upload.js';

interface DeliverOptions {
  readonly keyField?: string;
  readonly timeout: number;
}

export function addDeliverCommand(program: Command, run: Run): void {
  const command = program
    .command('deliver')
    .description('deliver events, one JSON object a line; each is applied once')
    .argument('<group>')
    .argument('[file]', '- or nothing: standard input', '-')
    .option('--key-field <field>', 'field of each event that identifies it in every run')
    .option('--timeout <ms>', 'how long to go on without an answer', whole(1), 60_000)
    .addHelpText(
      'after',
      '\nRejected lines go to stderr; the exit code is 0 if every line was answered.\n' +
        'With --key-field the same file can be delivered again: known lines count as duplicates.',
    );
  handle<[string, string], DeliverOptions>(command, run, deliver);
}

async function deliver(
  session: Session,
  [group, file]: [string, string],
  options: DeliverOptions,
): Promise<number> {
  const { client, io } = session;
  const tally: Tally = { accepted: 0, rejected: 0, duplicate: 0, seq: null, token: null };
  const input = await openInput(file, io);
  const progress = showProgress(io.stderr, input.sizeBytes);
  try {
    await upload(input.lines, tally, {
      client,
      group,
      keyField: options.keyField,
      timeoutMs: options.timeout,
      onRejected: (line, code, detail) =>
        write(io.stderr, `${progress.clear()}line ${line}: ${code}: ${detail}\n`),
      onChunk: ({ lines, text }) => progress.add(lines.length, text.length),
    });
  } catch (error) {
    progress.stop(false);
    // The lines before the failure were answered: say so, whatever came then.
    await session.show({ ...tally, ...documentOf(error) }, () => words(tally));
    throw new PartlyDone(error);
  }
  progress.stop(true);
  return await session.show(tally, () => words(tally));
}

function words({ accepted, rejected, duplicate, seq }: Tally): string {
  const end = seq === null ? '' : `, seq ${seq}`;
  return `accepted ${accepted}, rejected ${rejected}, duplicate ${duplicate}${end}\n`;
}

interface Input {
  readonly lines: AsyncIterator<RawLine[]>;
  readonly sizeBytes: number | null;
}

async function openInput(file: string, io: Io): Promise<Input> {
  if (file === '-') return { lines: readLines(io.stdin, limits.eventSizeBytes), sizeBytes: null };
  try {
    const found = await stat(file);
    if (found.isDirectory()) throw new Error('it is a directory');
    const sizeBytes = found.isFile() ? found.size : null;
    return { lines: readLines(createReadStream(file), limits.eventSizeBytes), sizeBytes };
  } catch (error) {
    throw new UnderstudyError('bad-request', `cannot read ${file}: ${(error as Error).message}`);
  }
}
