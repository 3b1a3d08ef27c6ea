/** One node under fire: a process that dies, freezes and comes back, and its link to each broker. */
import { NodeChild, type NodeChildOptions } from '../../cli/dev-node.js';
import type { FaultProxy } from '../proxy/proxy.js';

export class ChaosNode {
  readonly id: string;
  isFrozen = false;
  readonly #child: NodeChild;

  constructor(
    options: Omit<NodeChildOptions, 'adminPort' | 'natsUrl' | 'onDeath'>,
    /** By broker, in their order. */
    readonly links: readonly FaultProxy[],
  ) {
    this.id = options.id;
    const natsUrl = links.map(({ url }) => url).join(',');
    this.#child = new NodeChild({ ...options, adminPort: 0, natsUrl, onDeath: () => undefined });
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
