/** Runs the command in this process and collects what it prints. */
import { Readable, Writable } from 'node:stream';
import type { LongCommands } from '../../src/cli/io.js';
import { run } from '../../src/cli/run.js';

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Stdout as the one JSON document it must be. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of every shape
  json(): any;
}

export interface CliOptions {
  readonly stdin?: Iterable<string> | AsyncIterable<string>;
  readonly env?: Record<string, string>;
  readonly longCommands?: LongCommands;
  readonly terminal?: boolean;
}

export const noLongCommands: LongCommands = {
  dev: () => Promise.reject(new Error('dev was not expected')),
  node: () => Promise.reject(new Error('node was not expected')),
  chaos: () => Promise.reject(new Error('chaos was not expected')),
};

export async function cli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { stdin = [], env = {}, longCommands = noLongCommands, terminal = false } = options;
  const stdout = new Collector();
  const stderr = new Collector();
  const input = Readable.from(toBuffers(stdin));
  const io = { stdin: input, stdout, stderr: Object.assign(stderr, { isTTY: terminal }), env };
  const code = await run(args, io, longCommands);
  const text = stdout.text();
  return { code, stdout: text, stderr: stderr.text(), json: () => JSON.parse(text) };
}

async function* toBuffers(texts: Iterable<string> | AsyncIterable<string>) {
  for await (const text of texts) yield Buffer.from(text);
}

class Collector extends Writable {
  readonly #parts: string[] = [];

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    this.#parts.push(String(chunk));
    done();
  }

  text(): string {
    return this.#parts.join('');
  }
}
