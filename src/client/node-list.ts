/** The nodes whose admin API is asked: which one next, and what its answer means. */
import type { NodeDocument } from '../../cluster/documents.js';
import { isErrorCode, UnderstudyError } from '../../replication/errors.js';

/** No node answered. `outcome` `unknown`: one may have done what was asked all the same. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
  readonly code = 'unreachable';
  readonly outcome: 'not-taken' | 'unknown';

  constructor(tried: readonly { url: string; reason: string }[], outcome: 'not-taken' | 'unknown') {
    const list = tried.map(({ url, reason }) => `${url}: ${reason}`).join('; ');
    const advice =
      outcome === 'unknown'
        ? 'it may have been done: look at the operations and groups before you ask again'
        : 'does the cluster run, and is the URL right? Several can be given, with commas';
    super(`no node answered (${list}); ${advice}`);
    this.outcome = outcome;
  }
}

export interface AdminClientOptions {
  /** Of one node or several; the others are learned from the first answers that name them. */
  readonly url: string | readonly string[];
  readonly token?: string | undefined;
  /** For one attempt at one node. Default 15000. */
  readonly timeoutMs?: number | undefined;
}

export const defaultTimeoutMs = 15_000;

export interface Call {
  readonly body?: string | Uint8Array | undefined;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** True: asking two nodes does no harm. */
  readonly repeatable?: boolean;
  /** For one attempt, where the usual time is not enough. */
  readonly timeoutMs?: number;
}

const mostUrls = 64;

/** The nodes' URLs, the one that answered last in front. */
export class NodeList {
  #urls: string[];
  readonly #authorization: Readonly<Record<string, string>>;
  readonly #timeoutMs: number;

  constructor({ url, token, timeoutMs = defaultTimeoutMs }: AdminClientOptions) {
    this.#urls = [url].flat().map(baseUrl);
    this.#authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.#timeoutMs = timeoutMs;
  }

  learn(nodes: readonly NodeDocument[]): void {
    const urls = nodes.flatMap(({ adminUrl }) => (adminUrl === null ? [] : [baseUrl(adminUrl)]));
    this.#urls = [...new Set([...this.#urls, ...urls])].slice(0, mostUrls);
  }

  async json<Answer>(method: string, path: string, call: Call): Promise<Answer> {
    const { url, text } = await this.request(method, path, call);
    try {
      return JSON.parse(text) as Answer;
    } catch {
      const detail = `${url}${path} answers, but not with JSON; is this the admin URL of a node?`;
      throw new UnderstudyError('internal', detail);
    }
  }

  /** The first answer of any node, read whole, so that a connection lost midway counts as none. */
  async request(method: string, path: string, call: Call): Promise<{ url: string; text: string }> {
    const tried: { url: string; reason: string }[] = [];
    let outcome: 'not-taken' | 'unknown' = 'not-taken';
    for (const url of [...this.#urls]) {
      try {
        const { status, ok, text } = await this.#ask(url, method, path, call);
        if (ok) return { url, text };
        throw errorFrom(parse(text), status);
      } catch (error) {
        if (error instanceof UnderstudyError) {
          if (isNodesOwn(error)) this.#putLast(url);
          throw error;
        }
        this.#putLast(url);
        tried.push({ url, reason: reasonOf(error) });
        if (method !== 'GET' && !neverSent(error)) outcome = 'unknown';
        if (outcome === 'unknown' && call.repeatable !== true) break;
      }
    }
    throw new Unreachable(tried, outcome);
  }

  async #ask(url: string, method: string, path: string, call: Call) {
    const { body, type, headers, timeoutMs = this.#timeoutMs } = call;
    const contentType = type === undefined ? {} : { 'content-type': type };
    const response = await fetch(url + path, {
      method,
      headers: { ...this.#authorization, ...contentType, ...headers },
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body }),
    });
    return { status: response.status, ok: response.ok, text: await response.text() };
  }

  #putLast(url: string): void {
    this.#urls = [...this.#urls.filter((other) => other !== url), url];
  }
}

function baseUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') {
    return parsed.href.replace(/\/+$/, '');
  }
  const detail = `"${url}" is not the URL of a node; expected something like http://127.0.0.1:7401`;
  throw new UnderstudyError('bad-request', detail);
}

/** This node cannot serve now; another one may. */
function isNodesOwn({ code }: UnderstudyError): boolean {
  return code === 'not-ready' || code === 'broker-unavailable' || code === 'timeout';
}

const unsentCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

function neverSent(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: string } };
  return unsentCodes.has(cause?.code ?? '');
}

function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  if (name === 'TimeoutError') return 'no answer in time';
  return cause?.code ?? cause?.message ?? message;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error a problem document tells of; its further members become the details. */
export function errorFrom(problem: unknown, status: number): UnderstudyError {
  const { type, title, code, detail, advice, ...details } = (problem ?? {}) as Record<
    string,
    unknown
  >;
  if (isErrorCode(code)) return new UnderstudyError(code, String(detail), details);
  return new UnderstudyError('internal', `HTTP status ${status} without a problem document`, {
    status,
  });
}
