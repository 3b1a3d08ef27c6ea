/** Between two processes: makes their network slow, hung, deaf or broken, while both live on. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { type Gate, noToll, openGate, reset, type Toll, Way } from './way.js';

/** `up`: from whoever dialled to whom it dialled. */
export type Direction = 'up' | 'down';
const bothWays: readonly Direction[] = ['up', 'down'];

/** Which bytes a fault concerns; without it all. */
export interface Where {
  readonly direction?: Direction | undefined;
  /** Who dialled, as `nameIn` found it. */
  readonly peer?: string | undefined;
}

export interface ProxyOptions {
  /** Finds in the first bytes of a connection who dialled; null: they do not tell yet. */
  readonly nameIn?: ((first: string) => string | null) | undefined;
}

interface Link {
  readonly near: Socket;
  readonly ways: Readonly<Record<Direction, Way>>;
  peer: string | null;
  /** The first bytes, until they have told who dialled. */
  first: string;
}

/** Whoever has not said by then who it is stays nameless. */
const introductionSizeChars = 8192;
const anybody = '';

export class FaultProxy {
  /** Bytes that have reached those who dialled, over all connections. */
  downSizeBytes = 0;
  /** Bytes that were dropped. */
  lostSizeBytes = 0;
  readonly #links = new Set<Link>();
  /** By peer. */
  readonly #gates = new Map<string, Record<Direction, Gate>>();
  readonly #nameIn: ProxyOptions['nameIn'];
  #targetPort: number;
  #refuses = false;

  private constructor(
    private readonly server: Server,
    targetPort: number,
    { nameIn }: ProxyOptions,
  ) {
    this.#targetPort = targetPort;
    this.#nameIn = nameIn;
    server.on('connection', (socket) => this.#onConnection(socket));
  }

  /** On a free port, to a port of this machine: whether anybody listens there shows with each dial. */
  static async start(targetPort: number, options: ProxyOptions = {}): Promise<FaultProxy> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return new FaultProxy(server, targetPort, options);
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Where later connections lead. */
  retarget(port: number): void {
    this.#targetPort = port;
  }

  /** From now on, also for what is held back. Without a toll: none. */
  charge(toll: Partial<Toll> = {}, where: Where = {}): void {
    for (const gate of this.#gatesAt(where)) gate.toll = { ...noToll, ...toll };
    for (const { ways } of this.#links) for (const way of bothWays) ways[way].reckon();
  }

  /** Nothing passes, and every connection stays; new ones are taken, and hang as well. */
  pause(where: Where = {}): void {
    for (const gate of this.#gatesAt(where)) gate.mode = 'hold';
  }

  /** Nothing passes and nothing is kept; connections stay, until `resume` breaks what has a gap. */
  drop(where: Where = {}): void {
    for (const gate of this.#gatesAt(where)) gate.mode = 'drop';
  }

  resume(where: Where = {}): void {
    for (const gate of this.#gatesAt(where)) gate.mode = 'pass';
    for (const { near, ways } of this.#links) {
      if (bothWays.some((way) => ways[way].isTorn)) reset(near);
      else for (const way of bothWays) ways[way].advance();
    }
  }

  /** Resets every connection, and what is on its way is lost; new ones are taken. */
  cut({ peer }: Pick<Where, 'peer'> = {}): void {
    for (const link of this.#links) {
      if (peer !== undefined && link.peer !== peer) continue;
      for (const way of bothWays) reset(link.ways[way].from);
    }
  }

  /** Each present connection ends when so many more bytes have passed: in the middle of a frame. */
  cutAfter(sizeBytes: number, direction: Direction): void {
    for (const { ways } of this.#links) ways[direction].cutAfter(sizeBytes);
  }

  /** While true whoever dials is reset at once. */
  refuse(refuses: boolean): void {
    this.#refuses = refuses;
  }

  /** As if no fault had been. */
  heal(): void {
    this.#refuses = false;
    this.charge();
    this.resume();
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.server.close(done));
    this.cut();
    await closed;
  }

  /** Without a peer: those of all peers, known or not. */
  #gatesAt({ direction, peer }: Where): Gate[] {
    this.#gatesOf(anybody);
    const gates = peer === undefined ? [...this.#gates.values()] : [this.#gatesOf(peer)];
    const ways = direction === undefined ? bothWays : [direction];
    return gates.flatMap((both) => ways.map((way) => both[way]));
  }

  #gatesOf(peer: string): Record<Direction, Gate> {
    let gates = this.#gates.get(peer);
    if (gates === undefined) {
      const known = this.#gates.get(anybody);
      gates =
        known === undefined
          ? { up: openGate(), down: openGate() }
          : { up: { ...known.up }, down: { ...known.down } };
      this.#gates.set(peer, gates);
    }
    return gates;
  }

  #onConnection(near: Socket): void {
    if (this.#refuses) return reset(near);
    const far = createConnection({ host: '127.0.0.1', port: this.#targetPort });
    const gates = () => this.#gatesOf(link.peer ?? anybody);
    const lost = (sizeBytes: number) => {
      this.lostSizeBytes += sizeBytes;
    };
    const passed = (sizeBytes: number) => {
      this.downSizeBytes += sizeBytes;
    };
    const up = new Way(
      near,
      far,
      () => gates().up,
      () => undefined,
      lost,
    );
    const down = new Way(far, near, () => gates().down, passed, lost);
    const link: Link = { near, ways: { up, down }, peer: null, first: '' };
    near.on('data', (bytes: Buffer) => {
      this.#introduce(link, bytes);
      up.take(bytes);
    });
    far.on('data', (bytes: Buffer) => down.take(bytes));
    this.#links.add(link);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#links.delete(link);
        for (const way of bothWays) link.ways[way].end();
      });
    }
  }

  #introduce(link: Link, bytes: Buffer): void {
    if (this.#nameIn === undefined || link.peer !== null) return;
    if (link.first.length > introductionSizeChars) return;
    link.first += bytes.toString('latin1');
    link.peer = this.#nameIn(link.first);
  }
}
