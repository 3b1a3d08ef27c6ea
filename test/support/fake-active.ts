/** A minimal active on a real broker: answers batches as told, so that clients meet every trouble. */
import type { Msg, NatsConnection, Subscription } from 'nats';
import {
  type AnswerRun,
  type Batch,
  type BatchAnswer,
  decodeBatch,
  eachValue,
  encodeAnswer,
} from '../../replication/batch.js';
import type { ErrorCode } from '../../replication/errors.js';
import { type Notice, namesFor } from '../../src/nats/subjects.js';

/** What the fake kind understands; anything else is one event. */
export type FakeCommand =
  | { readonly events: number; readonly result?: unknown }
  | { readonly refuse: string };

/** Everything a real group keeps in its log: survives its actives, counts each command once. */
export class FakeGroup {
  readonly name: string;
  epoch = 0;
  seq = 0;
  /** Every batch that arrived, in order, again and again if it was sent again. */
  readonly arrivals: Batch[] = [];
  /** Commands that were taken, in the order of the log. */
  readonly log: unknown[] = [];
  /** What no client may ever do, such as using a number twice for different commands. */
  readonly violations: string[] = [];
  readonly #taken = new Map<string, { readonly bytes: string; readonly run: AnswerRun }>();
  /** Each session's floor: what is below is forgotten, and refused if it comes late. */
  readonly #floors = new Map<string, number>();
  readonly #keys = new Map<string, AnswerRun>();

  constructor(name: string) {
    this.name = name;
  }

  take(batch: Batch): BatchAnswer {
    if (batch.session !== null && batch.first < this.#raiseFloor(batch.session, batch.floor)) {
      return { ok: false, code: 'conflict', detail: `number ${batch.first} is below the floor` };
    }
    const id = `${batch.session}/${batch.first}`;
    const bytes = Buffer.from(batch.blob).toString('base64');
    const known = this.#taken.get(id);
    if (known && known.bytes !== bytes) this.violations.push(`${id} came with other contents`);
    if (known) return { ok: true, runs: [{ ...known.run, duplicate: true }] };
    if (batch.keys) return { ok: true, runs: this.#takeKeyed(batch) };
    const run = this.#decide(batch.first, commandsOf(batch));
    if (batch.session !== null) this.#taken.set(id, { bytes, run });
    return { ok: true, runs: [run] };
  }

  #raiseFloor(session: string, claimed: number): number {
    const floor = Math.max(this.#floors.get(session) ?? 1, claimed);
    this.#floors.set(session, floor);
    return floor;
  }

  #takeKeyed(batch: Batch): AnswerRun[] {
    return commandsOf(batch).map((command, i) => {
      const key = batch.keys?.[i] ?? null;
      const first = batch.first + i;
      const known = key === null ? undefined : this.#keys.get(key);
      if (known) return { ...known, first, duplicate: true };
      const run = this.#decide(first, [command]);
      if (key !== null) this.#keys.set(key, run);
      return run;
    });
  }

  #decide(first: number, commands: readonly unknown[]): AnswerRun {
    const baseSeq = this.seq;
    const eventCounts: number[] = [];
    const results: unknown[] = [];
    const rejections: [number, string, string][] = [];
    for (const [i, command] of commands.entries()) {
      const { events, result, refuse } = { events: 1, ...(command as object) } as {
        events: number;
        result?: unknown;
        refuse?: string;
      };
      if (refuse !== undefined) rejections.push([i, refuse, `refused at ${this.seq}`]);
      else this.log.push(command);
      const count = refuse === undefined ? events : 0;
      this.seq += count;
      eventCounts.push(count);
      results.push(result);
    }
    return {
      first,
      count: commands.length,
      epoch: this.epoch,
      baseSeq,
      eventCounts: eventCounts.every((count) => count === 1) ? null : eventCounts,
      results: results.every((result) => result === undefined) ? null : results,
      rejections: rejections.length === 0 ? null : rejections,
      duplicate: false,
    };
  }
}

function commandsOf(batch: Batch): unknown[] {
  const commands: unknown[] = [];
  eachValue(batch.blob, (command) => commands.push(command));
  return commands;
}

/**
 * What to do with a batch. `take`: take it and answer; `lose`: take it and say nothing, like an
 * active that dies; `drop`: neither; `twice`: answer two times; a code: refuse.
 */
export type Behaviour = 'take' | 'lose' | 'drop' | 'twice' | ErrorCode | 'moved';

/** Decides, at once or later, about the `n`-th batch to arrive here, counting from 1. */
export type Script = (batch: Batch, n: number) => Behaviour | Promise<Behaviour>;

export class FakeActive {
  readonly #group: FakeGroup;
  readonly #script: Script;
  readonly #subscription: Subscription;
  #arrived = 0;

  private constructor(connection: NatsConnection, group: FakeGroup, script: Script) {
    this.#group = group;
    this.#script = script;
    this.#subscription = connection.subscribe(namesFor('understudy').deliver(group.name), {
      callback: (error, message) => {
        if (!error) void this.#receive(message);
      },
    });
  }

  /** Begins the next epoch and, if told to `announce`, says so. */
  static async open(
    connection: NatsConnection,
    group: FakeGroup,
    { script = () => 'take', announce = true }: { script?: Script; announce?: boolean } = {},
  ): Promise<FakeActive> {
    group.epoch++;
    const active = new FakeActive(connection, group, script);
    await connection.flush();
    if (announce) active.announce(connection);
    return active;
  }

  announce(connection: NatsConnection): void {
    const { name: group, epoch } = this.#group;
    const notice: Notice = { kind: 'opened', group, epoch, node: 'fake', index: 0 };
    connection.publish(namesFor('understudy').notice(group), JSON.stringify(notice));
  }

  close(): void {
    this.#subscription.unsubscribe();
  }

  async #receive(message: Msg): Promise<void> {
    const batch = decodeBatch(message.data);
    if ('problem' in batch) {
      this.#group.violations.push(batch.problem);
      return;
    }
    const copy = { ...batch, blob: new Uint8Array(batch.blob) };
    this.#group.arrivals.push(copy);
    const said = this.#script(copy, ++this.#arrived);
    this.#act(message, copy, typeof said === 'string' ? said : await said);
  }

  #act(message: Msg, batch: Batch, behaviour: Behaviour): void {
    if (behaviour === 'drop') return;
    if (behaviour !== 'take' && behaviour !== 'lose' && behaviour !== 'twice') {
      const answer = { ok: false, code: behaviour, detail: `scripted ${behaviour}` } as const;
      message.respond(encodeAnswer(answer));
      return;
    }
    const answer = encodeAnswer(this.#group.take(batch));
    if (behaviour === 'lose') return;
    message.respond(answer);
    if (behaviour === 'twice') message.respond(answer);
  }
}
