import type { Door } from './door.js';
import { httpDoor } from './http.js';
import { natsDoor } from './nats.js';
import { programDoor } from './program.js';

export type { Door } from './door.js';

export interface Addresses {
  readonly brokerUrls: readonly string[];
  readonly adminUrls: () => readonly string[];
  readonly adminToken: string | null;
}

/** One of each: whoever uses it shares its connection with the others. */
export async function doorsOf({
  brokerUrls,
  adminUrls,
  adminToken,
}: Addresses): Promise<readonly Door[]> {
  const overNats = [programDoor(brokerUrls), natsDoor(brokerUrls)];
  return [...(await Promise.all(overNats)), httpDoor(adminUrls, adminToken ?? undefined)];
}
