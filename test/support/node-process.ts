/** One node as a process of its own, from the built program. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The built `understudy` command. */
export const program = resolve('dist/src/cli/main.js');

const readyMs = 30_000;
const logTailLines = 40;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class NodeProcess {
  adminUrl = '';
  /** Resolves when the present life of the process ends. */
  exited: Promise<Exit> = Promise.resolve({ code: 0, signal: null });
  readonly #logFile: string;
  #child: ChildProcess | null = null;
  #frozen = false;

  constructor(
    readonly id: string,
    private readonly dir: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {
    this.#logFile = join(dir, `${id}.log`);
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.id} was never started`);
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get isAnswering(): boolean {
    return this.isRunning && !this.#frozen;
  }

  /** Resolves when the node has joined; again after an end, under the same id. `env`: for this life. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    if (!existsSync(program)) throw new Error(`${program} is missing: run npm run build first`);
    const log = openSync(this.#logFile, 'a');
    const child = spawn(process.execPath, [program, 'node'], {
      cwd: this.dir,
      stdio: ['ignore', log, log, 'ipc'],
      env: { PATH: process.env.PATH, UNDERSTUDY_NODE_ID: this.id, ...this.env, ...env },
    });
    closeSync(log);
    this.#child = child;
    this.#frozen = false;
    this.exited = new Promise((done) => {
      child.once('exit', (code, signal) => done({ code, signal }));
    });
    const ended = this.exited.then(({ code, signal }) => {
      throw new Error(
        `${this.id} ended before it was ready (${signal ?? code})\n${this.logTail()}`,
      );
    });
    ended.catch(() => undefined);
    const told = once(child, 'message', { signal: AbortSignal.timeout(readyMs) });
    const [ready] = (await Promise.race([told, ended])) as [{ adminUrl: string }];
    this.adminUrl = ready.adminUrl;
  }

  /** Sends a signal and waits for nothing. */
  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  freeze(): void {
    this.#frozen = true;
    this.signal('SIGSTOP');
  }

  thaw(): void {
    this.#frozen = false;
    this.signal('SIGCONT');
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** All that it has logged in all its lives. */
  log(): string {
    return existsSync(this.#logFile) ? readFileSync(this.#logFile, 'utf8') : '';
  }

  logTail(): string {
    return this.log().split('\n').slice(-logTailLines).join('\n');
  }
}
