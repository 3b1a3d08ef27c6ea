/** The admin API: what every node serves over HTTP. */
import type { Socket } from 'node:net';
import swagger from '@fastify/swagger';
import {
  type ConnectionError,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import { UnderstudyError } from '../../replication/errors.js';
import {
  type Auth,
  assertLocalCaller,
  assertSafeBinding,
  type Identity,
  isLoopback,
  type Role,
  requireRole,
} from './auth.js';
import type { Backend } from './backend.js';
import { acceptOnlyJson } from './body.js';
import { openApiOptions } from './openapi.js';
import { HttpError, headersOf, problemOf, problemType, toUnderstudyError } from './problems.js';
import { clusterRoutes } from './routes/cluster.js';
import { deliverRoutes } from './routes/deliver.js';
import { groupRoutes } from './routes/groups.js';
import { maintenanceRoutes } from './routes/maintenance.js';
import { moveRoutes } from './routes/moves.js';
import { probeRoutes } from './routes/probes.js';
import { parseJson, problemWithValue, toJson } from './values.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The least role that may call the route; `open`: everybody, without a token. */
    role?: Role | 'open';
  }
  interface FastifyRequest {
    identity: Identity | null;
  }
}

export interface AdminServerOptions {
  readonly backend: Backend;
  readonly auth: Auth;
  readonly logger: Logger;
  readonly version: string;
}

/** Bodies of the admin routes; events have limits of their own. */
const bodyLimitBytes = 64 * 1024;

export function createAdminServer(options: AdminServerOptions): FastifyInstance {
  const loggerInstance: FastifyBaseLogger = options.logger;
  const app = fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimitBytes,
    routerOptions: { maxParamLength: 256 },
    clientErrorHandler: refuseSocket,
    // Who is connected is served to the end: the node still is what it was.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      const problem = problemOf(asUnderstudyError(error, request));
      void (reply as FastifyReply).code(problem.status).type(problemType).send(toJson(problem));
    },
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => toJson);
  app.setReplySerializer(toJson);
  acceptOnlyJson(app, bodyLimitBytes, readBody);
  guard(app, options);
  answerErrors(app);
  void app.register(swagger, openApiOptions(options.version));
  void app.register((api, _options, done) => {
    probeRoutes(api, options);
    clusterRoutes(api, options.backend);
    groupRoutes(api, options.backend);
    maintenanceRoutes(api, options.backend);
    moveRoutes(api, options.backend);
    deliverRoutes(api, options.backend);
    done();
  });
  return app;
}

/** What arrived is not HTTP, so there is no request to answer to. */
function refuseSocket(error: ConnectionError, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy(error);
    return;
  }
  const problem = problemOf(new UnderstudyError('bad-request', `not HTTP: ${error.message}`));
  const body = toJson(problem);
  const head = [
    'HTTP/1.1 400 Bad Request',
    `content-type: ${problemType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function readBody(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  const body = parseJson(bytes);
  const problem = problemWithValue(body);
  if (problem !== undefined) throw new UnderstudyError('bad-request', `body: ${problem}`);
  return body;
}

function guard(app: FastifyInstance, { auth, backend }: AdminServerOptions): void {
  app.decorateRequest('identity', null);
  app.addHook('onRoute', ({ url, config }) => {
    // A route without a role would be open by accident.
    if (config?.role === undefined) throw new Error(`route ${url} declares no role`);
  });
  app.addHook('onRequest', (request, _reply, done) => {
    const { role } = request.routeOptions.config;
    if (!auth.required) assertLocalCaller(request.headers);
    if (role !== undefined && role !== 'open') {
      const identity = auth.identify(request.headers.authorization);
      requireRole(identity, role);
      request.identity = identity;
      if (!backend.hasJoined()) throw notJoined();
    }
    done();
  });
}

function notJoined(): UnderstudyError {
  const detail = 'this node starts and does not know yet what there is; ask again, or another node';
  return new UnderstudyError('not-ready', detail);
}

function answerErrors(app: FastifyInstance): void {
  const routes: { readonly path: RegExp; readonly method: string }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    const path = new RegExp(`^${url.replaceAll(/:\w+/g, '[^/]+')}$`);
    for (const one of [method].flat()) routes.push({ path, method: one });
  });
  app.setNotFoundHandler((request) => {
    const path = request.url.replace(/\?.*$/, '');
    const methods = routes.filter((route) => route.path.test(path)).map(({ method }) => method);
    throw methods.length === 0 ? noSuchRoute(request) : noSuchMethod(request, methods);
  });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const known = asUnderstudyError(error, request);
    const problem = problemOf(known);
    // The rest of a refused body is read and dropped: closing now could tear the answer away.
    reply.removeHeader('connection');
    return reply.code(problem.status).headers(headersOf(known)).type(problemType).send(problem);
  });
}

/** Logs what nobody expected. */
export function asUnderstudyError(error: unknown, request: FastifyRequest): UnderstudyError {
  if ((error as FastifyError).code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return badType(request);
  const known = toUnderstudyError(error, request.id);
  if (known.code === 'internal') {
    request.log.error({ err: error, reqId: request.id, url: request.url }, 'request failed');
  }
  return known;
}

function badType({ headers, method, url }: FastifyRequest): UnderstudyError {
  const got = headers['content-type'] ?? 'no content type';
  const detail = `${method} ${url} takes application/json, events also application/x-ndjson`;
  return new HttpError(415, { code: 'unsupported', detail: `${detail}; the request has ${got}` });
}

function noSuchRoute({ method, url }: FastifyRequest): UnderstudyError {
  const detail = `there is no ${method} ${url}; /openapi.json lists what there is`;
  return new HttpError(404, { code: 'unsupported', detail });
}

function noSuchMethod({ method, url }: FastifyRequest, methods: string[]): UnderstudyError {
  const allow = methods.join(', ');
  const detail = `${url} knows ${allow}, not ${method}`;
  return new HttpError(405, { code: 'unsupported', detail }, { allow });
}

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tokenFile: string | null;
}

/** Starts to serve and returns the URL. Throws `invalid-config` for an open API beyond loopback. */
export async function listen(app: FastifyInstance, options: ListenOptions): Promise<string> {
  const { host, port, tokenFile } = options;
  assertSafeBinding(host, tokenFile);
  const url = await app.listen({ host, port });
  if (tokenFile === null) {
    app.log.warn({ url }, 'the admin API has no token file: open to this machine, loopback only');
  } else if (!isLoopback(host)) {
    app.log.info({ url }, 'the admin API speaks plain HTTP: put TLS in front of it');
  }
  return url;
}
