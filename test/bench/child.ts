/** Processes of a measurement, and asking them: one request and one answer over their channel. */
import { type ChildProcess, fork } from 'node:child_process';

interface Question {
  readonly call: number;
  readonly verb: string;
  readonly args: never;
}

interface Answer {
  readonly call: number;
  readonly value?: unknown;
  readonly failure?: string;
}

export type Verbs = Readonly<Record<string, (args: never) => unknown>>;

/** In the child: answers until the parent is gone. */
export function answerParent(verbs: Verbs): void {
  const say = (answer: Answer) => process.send?.(answer);
  process.on('message', ({ call, verb, args }: Question) => {
    void Promise.resolve()
      .then(() => (verbs[verb] as Verbs[string])(args))
      .then((value) => say({ call, value: value ?? null }))
      .catch((error: Error) => say({ call, failure: error.stack ?? error.message }));
  });
  process.once('disconnect', () => process.exit());
}

export interface ChildOptions {
  readonly file: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class BenchChild {
  readonly #child: ChildProcess;
  readonly #open = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  readonly #exited: Promise<void>;
  #call = 0;

  constructor({ file, env = {} }: ChildOptions) {
    this.#child = fork(file, [], { env: { ...process.env, ...env }, serialization: 'advanced' });
    this.#child.on('message', (answer: Answer) => this.#settle(answer));
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        const error = new Error(`${file} has ended (${signal ?? code})`);
        for (const { reject } of this.#open.values()) reject(error);
        this.#open.clear();
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  ask<Value>(verb: string, args: unknown = null): Promise<Value> {
    const call = ++this.#call;
    return new Promise<Value>((resolve, reject) => {
      this.#open.set(call, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.send({ call, verb, args });
    });
  }

  #settle({ call, value, failure }: Answer): void {
    const waiting = this.#open.get(call);
    this.#open.delete(call);
    if (failure === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(failure));
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** What it holds is of no use afterwards: no goodbyes. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}
