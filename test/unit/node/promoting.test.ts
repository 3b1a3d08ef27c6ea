import { expect, it } from 'vitest';
import { epoch } from '../../../replication/ids.js';
import { tellPromotion } from '../../../src/node/promoting.js';

const cause = { endsEpoch: epoch(3), startedAtMs: 1, detectMs: 2, decideMs: 3, observeMs: 0 };

function said(why: string): unknown[] {
  const lines: unknown[] = [];
  const write = (level: string) => (fields: object, text: string) => {
    lines.push([level, fields, text]);
  };
  const logger = { info: write('info'), warn: write('warn') };
  tellPromotion(logger as never, 'g', { ...cause, cause: why, operation: null });
  return lines.flat();
}

it('warns of a promotion because somebody is gone', () => {
  const fields = expect.objectContaining({ group: 'g', cause: 'silence', endsEpoch: 3 });
  expect(said('silence')).toEqual(['warn', fields, 'promoting']);
});

it('warns of nothing when nobody is known to have led the group', () => {
  expect(said('created')).toEqual(['info', { group: 'g' }, 'opening, unless the log has an epoch']);
});
