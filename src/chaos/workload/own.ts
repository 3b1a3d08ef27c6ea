/** Groups of a user's own kind, which get the commands of a file again and again. */
import { readFileSync } from 'node:fs';
import { UnderstudyError } from '../../../replication/errors.js';
import type { Kind } from '../../../replication/kind.js';
import { loadKinds } from '../../node/kinds.js';
import type { Chance } from '../chance.js';
import type { GroupLoad } from './groups.js';

export interface OwnKind {
  readonly kinds: string;
  readonly kind: string;
  readonly events: string;
}

/** All of them are held in memory. */
const mostCommands = 1_000_000;

/** A warm and a hot group. Throws `invalid-config` if a file or the kind is not as it should be. */
export async function ownLoads({ kinds, kind: name, events }: OwnKind): Promise<GroupLoad[]> {
  const known = await loadKinds(kinds);
  const kind = known.get(name);
  if (kind === undefined) {
    const names = [...known.keys()].join(', ');
    throw new UnderstudyError(
      'invalid-config',
      `${kinds} has no kind "${name}"; with the shipped ones there are ${names}`,
    );
  }
  const commands = commandsIn(events);
  return (['warm', 'hot'] as const).map((standby) => loadOf(kind, standby, commands));
}

function loadOf(kind: Kind, standby: 'warm' | 'hot', commands: readonly unknown[]): GroupLoad {
  const wholes = plainQueries(kind).map((name) => ({ name, args: undefined }));
  return {
    ...{ name: `${kind.name}-${standby}`, kind, standby, wholes },
    command: (n) => commands[(n - 1) % commands.length],
    query: (chance: Chance) => (wholes.length === 0 ? null : chance.pick(wholes)),
  };
}

/** Those that take the state and nothing else: what others want to be asked, nobody here knows. */
function plainQueries({ queries = {} }: Kind): string[] {
  return Object.entries(queries)
    .filter(([name, run]) => run.length <= 1 && !name.startsWith('machines.'))
    .map(([name]) => name);
}

/** One JSON value a line, as `understudy deliver` takes them. */
export function commandsIn(file: string): unknown[] {
  const lines = textOf(file).split('\n');
  const commands = lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return [JSON.parse(line) as unknown];
    } catch (error) {
      const reason = (error as Error).message;
      throw new UnderstudyError('invalid-config', `${file}, line ${i + 1} is not JSON: ${reason}`);
    }
  });
  if (commands.length > 0 && commands.length <= mostCommands) return commands;
  throw new UnderstudyError(
    'invalid-config',
    `${file} has ${commands.length} commands; a run needs 1 to ${mostCommands}`,
  );
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const reason = (error as Error).message;
    throw new UnderstudyError('invalid-config', `${file} cannot be read: ${reason}`);
  }
}
