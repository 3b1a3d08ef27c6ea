/** Who follows which log live: every stored record is sent to them, once and unasked. */
import type { TailedRecord } from '../../replication/ports.js';
import type { Channel, Client, Wire } from './model-wire.js';

interface Tail extends Channel {
  readonly groupId: string;
  readonly sink: (record: TailedRecord) => void;
}

export class ModelTails {
  readonly #wire: Wire;
  readonly #isReached: (client: Client) => boolean;
  readonly #open = new Set<Tail>();

  /** `isReached`: whether what the leader sends arrives where the client is connected. */
  constructor(wire: Wire, isReached: (client: Client) => boolean) {
    this.#wire = wire;
    this.#isReached = isReached;
  }

  /** Begins when word of it has reached the broker. */
  open(client: Client, groupId: string, sink: Tail['sink']): () => void {
    const tail: Tail = { client, groupId, sink, lastArrivalMs: 0 };
    let isStopped = false;
    this.#wire.pass(() => {
      if (!isStopped) this.#open.add(tail);
    });
    return () => {
      isStopped = true;
      this.#open.delete(tail);
    };
  }

  tell(groupId: string, record: TailedRecord): void {
    for (const tail of this.#open) {
      if (!tail.client.isAlive) this.#open.delete(tail);
      else if (tail.groupId === groupId && this.#isReached(tail.client)) this.#send(tail, record);
    }
  }

  /** Nothing arrives at the tails that the client has open: nobody tells it so. */
  deafen(clientName: string): void {
    for (const tail of this.#open) if (tail.client.name === clientName) this.#open.delete(tail);
  }

  #send(tail: Tail, record: TailedRecord): void {
    if (this.#wire.strikes('tailLost')) return;
    this.#wire.push(tail, () => {
      if (this.#open.has(tail)) tail.sink(record);
    });
  }
}
