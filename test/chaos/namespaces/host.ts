/** One process in a namespace of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';

const readyMs = 30_000;

export interface HostOptions {
  readonly id: string;
  readonly namespace: string;
  readonly address: string;
  readonly logFile: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export class Host {
  readonly id: string;
  readonly address: string;
  #child: ChildProcess | null = null;

  constructor(private readonly options: HostOptions) {
    this.id = options.id;
    this.address = options.address;
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  start(): void {
    const { namespace, command, logFile, env } = this.options;
    const log = openSync(logFile, 'a');
    // `ip` becomes the program: the pid, and with it every signal, is the program's.
    this.#child = spawn('ip', ['netns', 'exec', namespace, ...command], {
      stdio: ['ignore', log, log, 'ipc'],
      env,
    });
    closeSync(log);
  }

  /** The first that it tells whoever started it. */
  async told<Message>(): Promise<Message> {
    const child = this.#child as ChildProcess;
    const ended = once(child, 'exit').then(() => {
      throw new Error(`${this.id} ended before it was ready; see ${this.options.logFile}`);
    });
    ended.catch(() => undefined);
    const told = once(child, 'message', { signal: AbortSignal.timeout(readyMs) });
    const [message] = (await Promise.race([told, ended])) as [Message];
    return message;
  }

  /** Resolves when it is gone. */
  async end(): Promise<void> {
    const child = this.#child;
    if (child === null || !this.isRunning) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}
