/** Several clients at one ledger, each with a session and callers of its own, and a check of it all. */
import type { EventEntry } from '../../src/admin/backend.js';
import type { AdminClient } from '../../src/client/admin.js';
import { type Client, createClient } from '../../src/client/client.js';
import { ledger } from '../../src/kinds/ledger.js';
import { Load, type Outcome, readEvents } from './load.js';
import { checkSerial } from './serial.js';

const clientCount = 2;
const callersEach = 2;
const callers = clientCount * callersEach;

/**
 * All callers share all accounts, so that nearly every answer depends on the order of all commands.
 * No two commands are equal: the amount tells caller and number.
 */
function command(caller: number, n: number): object {
  if (n === 0) return { type: 'open', account: `account-${caller}` };
  const [amount, round] = [n * callers + caller, Math.floor(n / 3)];
  const account = `account-${(caller + round) % callers}`;
  if (n % 3 === 1) return { type: 'deposit', account, amount };
  if (n % 3 === 2) return { type: 'withdraw', account, amount };
  return { type: 'transfer', from: account, to: `account-${(caller + n) % callers}`, amount };
}

export class Traffic {
  private constructor(
    readonly group: string,
    private readonly clients: readonly Client[],
    private readonly loads: readonly Load[],
  ) {}

  /** At a group that is empty, of kind ledger. */
  static async start(servers: string | readonly string[], group: string): Promise<Traffic> {
    const clients = await Promise.all(
      Array.from({ length: clientCount }, () => createClient({ servers })),
    );
    const loads = clients.map(
      (client, i) =>
        new Load(client.group(group), {
          callers: callersEach,
          command: (caller, n) => command(i * callersEach + caller, n),
          timeoutMs: 60_000,
        }),
    );
    return new Traffic(group, clients, loads);
  }

  get outcomes(): readonly Outcome[] {
    return this.loads.flatMap(({ outcomes }) => outcomes);
  }

  /** Resolves when each client has got `count` more answers. */
  async more(count: number): Promise<void> {
    await Promise.all(this.loads.map((load) => load.more(count)));
  }

  /** Resolves when whatever is being delivered now has been answered, and something after it. */
  async round(): Promise<void> {
    await Promise.all(this.loads.map((load) => load.round(40_000)));
  }

  /** Nobody may have been left without a true answer. Returns the events. */
  async settle(admin: AdminClient): Promise<EventEntry[]> {
    await Promise.all(this.loads.map((load) => load.stop()));
    const failures = this.loads.flatMap((load) => load.failures);
    if (failures.length > 0) throw new Error(failures.join('\n'));
    const events = await readEvents(admin, this.group);
    checkSerial(ledger, events, this.outcomes);
    return events;
  }

  async close(): Promise<void> {
    const stopped = Promise.all(this.loads.map((load) => load.stop()));
    await Promise.all(this.clients.map((client) => client.close(0)));
    await stopped;
  }
}
