/** Between a process and the broker: makes their network slow, hung or broken, while both live on. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';

export interface Toll {
  /** Each way of each connection; null: as fast as it goes. */
  readonly bytesPerSecond: number | null;
  /** One way. */
  readonly delayMs: number;
}

const noToll: Toll = { bytesPerSecond: null, delayMs: 0 };
/** What one way of a connection holds back at most; then whoever sends has to wait. */
const windowSizeBytes = 256 * 1024;

export class TcpProxy {
  /** Bytes that have reached those who dialled, over all connections. */
  downSizeBytes = 0;
  readonly #links = new Set<readonly Way[]>();
  #toll = noToll;
  #isPaused = false;

  private constructor(
    private readonly server: Server,
    private readonly targetPort: number,
  ) {
    server.on('connection', (socket) => this.#onConnection(socket));
  }

  /** On a free port, to a port of this machine: whether anybody listens there shows with each dial. */
  static async start(targetPort: number): Promise<TcpProxy> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return new TcpProxy(server, targetPort);
  }

  get url(): string {
    const { port } = this.server.address() as { port: number };
    return `nats://127.0.0.1:${port}`;
  }

  /** From now on, also for what is held back. Without a toll: none. */
  charge(toll: Partial<Toll> = {}): void {
    this.#toll = { ...noToll, ...toll };
    for (const way of this.#ways) way.reckon();
  }

  /** Nothing passes, and every connection stays; new ones are taken, and hang as well. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    for (const way of this.#ways) way.advance();
  }

  /** Resets every connection, and what is on its way is lost; new ones are taken. */
  cut(): void {
    for (const way of this.#ways) way.from.resetAndDestroy();
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.server.close(done));
    this.cut();
    await closed;
  }

  get #ways(): Way[] {
    return [...this.#links].flat();
  }

  #onConnection(near: Socket): void {
    const far = createConnection({ host: '127.0.0.1', port: this.targetPort });
    const gate = { toll: () => this.#toll, isPaused: () => this.#isPaused };
    const down = new Way(far, near, gate, (sizeBytes) => {
      this.downSizeBytes += sizeBytes;
    });
    const link = [new Way(near, far, gate, () => undefined), down];
    this.#links.add(link);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#links.delete(link);
        for (const way of link) way.end();
      });
    }
  }
}

interface Gate {
  toll(): Toll;
  isPaused(): boolean;
}

interface Held {
  readonly bytes: Buffer;
  readonly cameMs: number;
}

/** One direction of one connection. */
class Way {
  readonly #held: Held[] = [];
  #heldSizeBytes = 0;
  /** When the last of what has passed was through. */
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    readonly from: Socket,
    private readonly to: Socket,
    private readonly gate: Gate,
    private readonly onPassed: (sizeBytes: number) => void,
  ) {
    from.on('data', (bytes: Buffer) => {
      this.#held.push({ bytes, cameMs: performance.now() });
      this.#heldSizeBytes += bytes.length;
      this.advance();
    });
    to.on('drain', () => this.advance());
  }

  reckon(): void {
    this.#freeAtMs = 0;
    this.advance();
  }

  advance(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (let [head] = this.#held; head !== undefined; [head] = this.#held) {
      if (this.gate.isPaused() || this.to.writableNeedDrain) break;
      const waitMs = Math.max(head.cameMs + this.gate.toll().delayMs, this.#freeAtMs);
      if (waitMs > performance.now()) {
        this.#timer = setTimeout(() => this.advance(), Math.ceil(waitMs - performance.now()));
        break;
      }
      this.#pass(head);
    }
    if (this.#heldSizeBytes >= windowSizeBytes) this.from.pause();
    else if (this.from.isPaused()) this.from.resume();
  }

  #pass({ bytes }: Held): void {
    const { bytesPerSecond } = this.gate.toll();
    const takesMs = bytesPerSecond === null ? 0 : (bytes.length / bytesPerSecond) * 1000;
    this.#freeAtMs = Math.max(this.#freeAtMs, performance.now()) + takesMs;
    this.#held.shift();
    this.#heldSizeBytes -= bytes.length;
    this.onPassed(bytes.length);
    this.to.write(bytes);
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#held.length = 0;
    this.from.destroy();
  }
}
