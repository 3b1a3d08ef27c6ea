/**
 * The client library's connection, read into memory that `Gathering` chooses. The library has no option for that,
 * only the place where its transport is chosen, which is one for the whole process: another `connect` in it
 * may have later connections read as the library does by itself, which is slower, nothing else.
 */
import { createConnection, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { NatsConnection, NodeConnectionOptions } from 'nats';
import {
  extractProtocolMessage,
  NatsConnectionImpl,
  type ServerInfo,
  setTransportFactory,
} from 'nats/lib/nats-base-client.js';
import { NodeTransport, nodeResolveHost } from 'nats/lib/node_transport.js';
import { Gathering } from './gathering.js';

interface Address {
  readonly hostname: string;
  readonly port: number;
}

class GatheringTransport extends NodeTransport {
  readonly #gathering = new Gathering();
  #address: Address | null = null;
  #onInfo: () => void = () => undefined;

  override dial(address: Address): Promise<Socket> {
    this.#address = address;
    const { hostname: host, port } = address;
    const buffer = () => this.#gathering.room();
    return new Promise((resolve, reject) => {
      const onread = { buffer, callback: (sizeBytes: number) => this.#onRead(sizeBytes) };
      const socket = createConnection({ host, port, onread, noDelay: true }, () => {
        socket.removeAllListeners();
        resolve(socket);
      });
      socket.once('error', reject);
    });
  }

  #onRead(sizeBytes: number): boolean {
    const whole = this.#gathering.take(sizeBytes);
    if (whole.length === 0) return true;
    this.yields.push(...whole);
    if (this.connected) this.signal.resolve();
    else this.#onInfo();
    return true;
  }

  /** The server speaks first; what it says stays there for whoever reads on. */
  override peekInfo(): Promise<ServerInfo> {
    return new Promise((resolve, reject) => {
      this.socket.once('error', reject);
      this.socket.once('close', () => reject(new Error('closed before the server said anything')));
      this.#onInfo = () => {
        const line = extractProtocolMessage(Buffer.concat(this.yields));
        if (line === '') return;
        this.socket.removeAllListeners();
        const said = /^INFO\s+(.*)/i.exec(line)?.[1];
        try {
          resolve(JSON.parse(said ?? '') as ServerInfo);
        } catch {
          reject(new Error('unexpected response from server'));
        }
      };
      this.#onInfo();
    });
  }

  /** What is encrypted is read as the library reads it. */
  override async startTLS(): Promise<TLSSocket> {
    this.socket.destroy();
    this.yields = [];
    this.socket = await super.dial(this.#address as Address);
    await super.peekInfo();
    return super.startTLS();
  }
}

const transports = { factory: () => new GatheringTransport(), dnsResolveFn: nodeResolveHost };

export function connect(options: NodeConnectionOptions): Promise<NatsConnection> {
  setTransportFactory(transports);
  return NatsConnectionImpl.connect(options);
}
