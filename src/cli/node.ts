import { UnderstudyError } from '../../replication/errors.js';
import type { Io, NodeOptions } from './io.js';

export function nodeCommand(_options: NodeOptions, _io: Io): Promise<number> {
  const error = new UnderstudyError('unsupported', '`understudy node` is not part of this build');
  return Promise.reject(error);
}
