/** One node of `understudy dev` and `understudy chaos`: a child process in a group of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { UnderstudyError } from '../../replication/errors.js';

export interface NodeChildOptions {
  /** The built `understudy` command. */
  readonly main: string;
  readonly id: string;
  readonly adminPort: number;
  readonly natsUrl: string;
  readonly kindsFile: string | undefined;
  readonly logFile: string;
  readonly cacheDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `isAsked`: an operator restarts it, so it has to be started again. */
  onDeath(pid: number, how: string, isAsked: boolean): void;
}

const readyMs = 30_000;
const stopMs = 5000;

export class NodeChild {
  adminUrl = '';
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  #expected = false;
  #restarts = false;

  constructor(private readonly options: NodeChildOptions) {}

  get id(): string {
    return this.options.id;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves when the node has joined. */
  async start(): Promise<void> {
    const child = this.#spawn();
    const died = this.#exited.then(() => {
      const { id, logFile } = this.options;
      throw new UnderstudyError('internal', `${id} ended before it was ready; see ${logFile}`);
    });
    const ready = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        const detail = `${this.id} was not ready within ${readyMs} ms; see ${this.options.logFile}`;
        reject(new UnderstudyError('timeout', detail));
      }, readyMs);
      child.once('message', ({ adminUrl }: { adminUrl: string }) => {
        clearTimeout(timer);
        this.adminUrl = adminUrl;
        resolve();
      });
      child.once('exit', () => clearTimeout(timer));
    });
    await Promise.race([ready, died]);
    died.catch(() => undefined);
  }

  #spawn(): ChildProcess {
    const { main, id, adminPort, natsUrl, kindsFile, logFile, cacheDir, env } = this.options;
    mkdirSync(dirname(logFile), { recursive: true });
    const log = openSync(logFile, 'a');
    const child = spawn(process.execPath, [main, 'node'], {
      // Its own group: Ctrl-C reaches `dev` alone, which stops things in order. The channel tells
      // the child when `dev` is gone.
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      env: {
        ...env,
        UNDERSTUDY_NODE_ID: id,
        UNDERSTUDY_NATS_URL: natsUrl,
        UNDERSTUDY_SUPERVISED: '1',
        UNDERSTUDY_ADMIN_HOST: '127.0.0.1',
        UNDERSTUDY_ADMIN_PORT: String(adminPort),
        UNDERSTUDY_CACHE_DIR: cacheDir,
        ...(kindsFile === undefined ? {} : { UNDERSTUDY_KINDS: kindsFile }),
      },
    });
    closeSync(log);
    this.#child = child;
    this.#expected = false;
    this.#restarts = false;
    child.on('message', (word: object) => {
      if ('restarts' in word) this.#restarts = true;
    });
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        resolve();
        const how = signal ?? `code ${code}`;
        if (!this.#expected) this.options.onDeath(child.pid ?? 0, how, this.#restarts);
      });
    });
    return child;
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves when the present life of the process ends. */
  get exited(): Promise<void> {
    return this.#exited;
  }

  /** Sends a signal and waits for nothing; an exit that follows counts as a death. */
  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async stop(): Promise<void> {
    this.#expected = true;
    this.#child?.kill('SIGINT');
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), stopMs);
    if (this.#child !== null) await this.#exited;
    clearTimeout(timer);
  }
}
