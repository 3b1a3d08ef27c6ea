/** The built `understudy` command as a process, with all it prints. */
import { type ChildProcess, spawn } from 'node:child_process';
import { type Exit, program } from './node-process.js';
import { until } from './until.js';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class CommandProcess {
  stdout = '';
  stderr = '';
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;

  constructor(args: readonly string[], { cwd = '.', env = {} }: CommandOptions = {}) {
    this.#child = spawn(process.execPath, [program, ...args], {
      cwd,
      env: { PATH: process.env.PATH, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (text) => {
      this.stdout += text;
    });
    this.#child.stderr?.on('data', (text) => {
      this.stderr += text;
    });
    // A command that ends before it has read everything says so with its exit code.
    this.#child.stdin?.on('error', () => undefined);
    this.exited = new Promise((done) => {
      this.#child.once('close', (code, signal) => done({ code, signal }));
    });
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  end(): void {
    this.#child.stdin?.end();
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** The first match in what it has printed on stdout so far or prints in time. */
  async printed(pattern: RegExp, timeoutMs = 20_000): Promise<RegExpExecArray> {
    const what = `stdout has ${pattern}`;
    const found = until(what, () => pattern.exec(this.stdout), timeoutMs);
    // Whoever has ended prints nothing any more.
    const ended = this.exited.then(({ code, signal }) => {
      const match = pattern.exec(this.stdout);
      if (match === null) throw new Error(`it ended (${signal ?? code}) before: ${what}`);
      return match;
    });
    return await Promise.race([found, ended]).catch((error: Error) => {
      throw new Error(`${error.message}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`);
    });
  }
}
