import type { FastifyInstance } from 'fastify';

/** From here on the scope takes JSON bodies of limited size and no others. `read` may throw. */
export function acceptOnlyJson(
  app: Pick<FastifyInstance, 'removeAllContentTypeParsers' | 'addContentTypeParser'>,
  bodyLimit: number,
  read: (bytes: Buffer) => unknown,
): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer', bodyLimit },
    (_request, bytes, done) => {
      try {
        done(null, read(bytes));
      } catch (error) {
        done(error as Error);
      }
    },
  );
}
