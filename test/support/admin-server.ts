/** An admin API over real HTTP on a free port, in front of a fake backend. */
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { type Auth, openAuth } from '../../src/admin/auth.js';
import { createAdminServer, listen } from '../../src/admin/server.js';
import { FakeBackend } from './fake-backend.js';

export interface Served {
  readonly backend: FakeBackend;
  readonly url: string;
  /** Lines of the node's log. */
  readonly logged: string[];
  close(): Promise<void>;
  /** Breaks all connections and takes no more, as a process that is killed. */
  kill(): void;
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer>;
  ndjson(
    path: string,
    body: NonNullable<RequestInit['body']>,
    headers?: Record<string, string>,
  ): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of every shape
  readonly body: any;
}

/** Closed when the test ends. `body` is sent as JSON, a string as it is. */
export async function serve(
  backend = new FakeBackend('c'),
  auth: Auth = openAuth,
): Promise<Served> {
  const logged: string[] = [];
  const sink = new Writable({
    write(line, _encoding, done) {
      logged.push(String(line));
      done();
    },
  });
  const app = createAdminServer({ backend, auth, logger: pino(sink), version: '1.2.3' });
  const tokenFile = auth.required ? 'tokens.json' : null;
  const url = await listen(app, { host: '127.0.0.1', port: 0, tokenFile });
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= app.close();
    return closed;
  };
  onTestFinished(close);
  const send = async (path: string, init: RequestInit): Promise<Answer> => {
    const response = await fetch(url + path, init);
    const text = await response.text();
    const body = text === '' ? undefined : JSON.parse(text);
    return { status: response.status, headers: response.headers, body };
  };
  return {
    backend,
    url,
    logged,
    close,
    kill: () => {
      app.server.close();
      app.server.closeAllConnections();
    },
    call: (method, path, body, headers = { 'content-type': 'application/json' }) => {
      if (body === undefined) return send(path, { method });
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      return send(path, { method, headers, body: text });
    },
    ndjson: (path, body, headers = {}) => {
      const type = { 'content-type': 'application/x-ndjson' };
      const init = { method: 'POST', headers: { ...type, ...headers }, body, duplex: 'half' };
      return send(path, init as RequestInit);
    },
  };
}
