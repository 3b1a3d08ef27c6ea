import { UnderstudyError } from '../../replication/errors.js';
import type { DevOptions, Io } from './io.js';

export function devCommand(_options: DevOptions, _io: Io): Promise<number> {
  const error = new UnderstudyError('unsupported', '`understudy dev` is not part of this build');
  return Promise.reject(error);
}
