/** One run of a command: where to ask, how to print. */
import type { Command } from 'commander';
import type { OperationDocument } from '../../cluster/documents.js';
import { UnderstudyError } from '../../replication/errors.js';
import { type AdminClient, createAdminClient } from '../client/admin.js';
import { type Io, write } from './io.js';

interface GlobalOptions {
  readonly url: string;
  readonly token?: string;
  readonly json?: boolean;
}

export class Session {
  readonly client: AdminClient;
  readonly json: boolean;
  readonly io: Io;
  /** Where notes go while something else is drawn on stderr; null: nothing is. */
  aside: ((text: string) => void) | null = null;

  constructor(command: Command, io: Io) {
    const { url, token, json } = command.optsWithGlobals<GlobalOptions>();
    this.client = clientFor(command, url, token);
    this.json = json === true;
    this.io = io;
  }

  /** The document with `--json`, else the words for a reader. Returns the exit code of success. */
  async show(document: unknown, words: () => string): Promise<number> {
    const text = this.json ? `${JSON.stringify(document)}\n` : words();
    await write(this.io.stdout, text);
    return 0;
  }

  /** For readers only; never part of what a script parses. */
  async note(text: string): Promise<void> {
    if (this.json) return;
    if (this.aside !== null) this.aside(text);
    else await write(this.io.stderr, `${text}\n`);
  }
}

/** A URL that is none is wrong usage. */
function clientFor(command: Command, url: string, token: string | undefined): AdminClient {
  try {
    return createAdminClient({ url: url.split(',').map((one) => one.trim()), token });
  } catch (error) {
    return command.error(`error: ${(error as UnderstudyError).message}`);
  }
}

/** One run of the program: what it is connected to and what it comes to. */
export interface Run {
  readonly io: Io;
  exitCode: number;
}

/** Makes `handle` what the command does; it resolves to the exit code. */
export function handle<Args extends readonly unknown[] = readonly [], Options = object>(
  command: Command,
  run: Run,
  handler: (session: Session, args: Args, options: Options) => Promise<number>,
): void {
  command.action(async () => {
    const args = command.processedArgs as unknown as Args;
    run.exitCode = await handler(new Session(command, run.io), args, command.opts() as Options);
  });
}

/** Asks the server to wait this long at a time. */
const waitMs = 10_000;
const mostWaits = 60;

/** The operation when it has ended. Throws `timeout` after ten minutes without news of it. */
export async function waitFor(session: Session, id: string): Promise<OperationDocument> {
  const { client } = session;
  // The operation may take the node away that is asked about it: know the others before.
  await client.nodes();
  let told = 0;
  let updatedAt = '';
  let still = 0;
  while (still < mostWaits) {
    const operation = await client.operation(id, waitMs);
    for (const { name, detail } of operation.steps.slice(told)) {
      await session.note(
        `${operation.kind} ${operation.target}: ${name} ${detail ?? ''}`.trimEnd(),
      );
    }
    told = operation.steps.length;
    if (operation.state !== 'running') return operation;
    still = operation.updatedAt === updatedAt ? still + 1 : 1;
    updatedAt = operation.updatedAt;
  }
  throw new UnderstudyError(
    'timeout',
    `operation ${id} still runs after ${(waitMs * mostWaits) / 60_000} minutes without news; it ` +
      `goes on, ask again with: understudy operation ${id} --wait`,
  );
}
