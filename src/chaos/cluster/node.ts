/** One node under fire: a process that dies, freezes and comes back, and its link to each broker. */
import { NodeChild, type NodeChildOptions } from '../../cli/dev-node.js';
import type { FaultProxy } from '../proxy/proxy.js';

export class ChaosNode {
  readonly id: string;
  isFrozen = false;
  readonly cacheDir: string;
  readonly #child: NodeChild;
  /** Of its next lives; what is absent is as it was. */
  readonly #env: Record<string, string | undefined>;

  constructor(
    options: Omit<NodeChildOptions, 'adminPort' | 'natsUrl' | 'onDeath'>,
    /** By broker, in their order. */
    readonly links: readonly FaultProxy[],
  ) {
    this.id = options.id;
    this.cacheDir = options.cacheDir;
    this.#env = { ...options.env };
    const natsUrl = links.map(({ url }) => url).join(',');
    const more = { env: this.#env, adminPort: 0, natsUrl, onDeath: () => undefined };
    this.#child = new NodeChild({ ...options, ...more });
  }

  /** From its next start on. */
  setEnv(env: Readonly<Record<string, string | undefined>>): void {
    Object.assign(this.#env, env);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get adminUrl(): string {
    return this.#child.adminUrl;
  }

  get isRunning(): boolean {
    return this.#child.isRunning;
  }

  /** Resolves when the node has joined. */
  async start(): Promise<void> {
    await this.#child.start();
    this.isFrozen = false;
  }

  /** SIGTERM lets it hand over first. Resolves when the process is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (!this.isRunning) return;
    this.#child.signal(signal);
    await this.#child.exited;
  }

  freeze(): void {
    this.isFrozen = true;
    this.#child.signal('SIGSTOP');
  }

  thaw(): void {
    this.isFrozen = false;
    this.#child.signal('SIGCONT');
  }
}
