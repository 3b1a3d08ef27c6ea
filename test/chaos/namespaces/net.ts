/**
 * A network of namespaces: one for each host, all of them joined by a hub, which is a router. What it does
 * not pass on from one address to another is lost without a word, as behind a broken switch. That takes `ip`
 * and root, and no packet filter.
 */
import { spawnSync } from 'node:child_process';

/** The last one is the hub's own in the network of this host. */
const networkOf = (i: number) => `10.99.${i + 1}`;

/** Throws what it was and what it said. */
export function ip(...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

/** Null: there is everything that it takes. */
export function whyNoNamespaces(probe: string): string | null {
  if (process.platform !== 'linux')
    return `namespaces are Linux's, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'namespaces take root';
  try {
    ip('netns', 'add', probe);
    try {
      ip('-n', probe, 'rule', 'add', 'from', '10.99.0.1', 'to', '10.99.0.2', 'blackhole');
    } finally {
      ip('netns', 'del', probe);
    }
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

export const hubOf = (prefix: string): string => `${prefix}-hub`;

/** Made and removed from outside: what is mounted inside a namespace nobody outside sees. */
export class Namespaces {
  constructor(
    readonly prefix: string,
    private readonly hosts: readonly string[],
  ) {}

  make(): void {
    const hub = hubOf(this.prefix);
    ip('netns', 'add', hub);
    ip('-n', hub, 'link', 'set', 'lo', 'up');
    ip('netns', 'exec', hub, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
    for (const [i, host] of this.hosts.entries()) {
      const own = `${this.prefix}-${host}`;
      const network = networkOf(i);
      ip('netns', 'add', own);
      ip('-n', hub, 'link', 'add', host, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', own);
      ip('-n', hub, 'addr', 'add', `${network}.1/24`, 'dev', host);
      ip('-n', hub, 'link', 'set', host, 'up');
      ip('-n', own, 'addr', 'add', `${network}.2/24`, 'dev', 'eth0');
      for (const device of ['lo', 'eth0']) ip('-n', own, 'link', 'set', device, 'up');
      ip('-n', own, 'route', 'add', 'default', 'via', `${network}.1`);
    }
  }

  /** Ends whatever still runs in them. Says what could not be removed, and goes on. */
  remove(): string[] {
    const names = [hubOf(this.prefix), ...this.hosts.map((host) => `${this.prefix}-${host}`)];
    return names.flatMap((name) => {
      try {
        for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) {
          process.kill(Number(pid), 'SIGKILL');
        }
        ip('netns', 'del', name);
        return [];
      } catch (error) {
        return [(error as Error).message];
      }
    });
  }
}

/** As the hub sees it, in whose namespace this process has to be. */
export class Net {
  readonly #cuts = new Set<string>();

  constructor(private readonly hosts: readonly string[]) {}

  addressOf(host: string): string {
    const i = this.hosts.indexOf(host);
    if (i < 0) throw new Error(`there is no host ${host}`);
    return `${networkOf(i)}.2`;
  }

  /** What `from` sends does not reach `to`. */
  cut(from: string, to: string): void {
    const rule = `from ${this.addressOf(from)} to ${this.addressOf(to)} blackhole priority 100`;
    if (this.#cuts.has(rule)) return;
    ip('rule', 'add', ...rule.split(' '));
    this.#cuts.add(rule);
  }

  part(one: string, other: string): void {
    this.cut(one, other);
    this.cut(other, one);
  }

  heal(): void {
    for (const rule of this.#cuts) ip('rule', 'del', ...rule.split(' '));
    this.#cuts.clear();
  }
}
