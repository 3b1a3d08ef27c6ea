/** What a node says when it begins a promotion. */
import type { Logger } from 'pino';
import type { PromotionCause } from '../../replication/effects.js';

/**
 * Who has just started has heard of no epoch yet, of any group: then nothing has failed, and the log shows
 * whether there is anything to begin.
 */
export function tellPromotion(
  logger: Pick<Logger, 'info' | 'warn'>,
  group: string,
  cause: PromotionCause,
): void {
  if (cause.cause === 'created') logger.info({ group }, 'opening, unless the log has an epoch');
  else logger.warn({ group, ...cause }, 'promoting');
}
