/**
 * A kind of one's own, for `understudy dev --kinds examples/kinds.mjs`: the seats of a theatre.
 * The module exports `kinds`, a list; every node of a cluster needs the same one.
 */
import { defineKind, query, reject } from 'understudy';
import { z } from 'zod';

const seat = z.string().regex(/^[A-Z][0-9]{1,3}$/, 'expected a row and a number, like A12');
const guest = z.string().min(1).max(100);

export const seats = defineKind({
  name: 'seats',
  version: 1,
  /** @returns {Map<string, string>} Who sits where. */
  init: () => new Map(),
  schema: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('book'), seat, guest }),
    z.strictObject({ type: z.literal('leave'), guest }),
  ]),
  /** Leaving gives back every seat of the guest: one command, an event for each. */
  decide(taken, command) {
    if (command.type === 'leave') {
      const held = [...taken].filter(([, guest]) => guest === command.guest);
      if (held.length === 0) return reject('no-booking', `${command.guest} holds no seat`);
      const events = held.map(([seat]) => ({ type: 'freed', seat, guest: command.guest }));
      return { events, result: { freed: held.length } };
    }
    const { seat, guest } = command;
    const holder = taken.get(seat);
    if (holder !== undefined) return reject('taken', `${seat} is taken by ${holder}`);
    return [{ type: 'booked', seat, guest }];
  },
  apply(taken, event) {
    if (event.type === 'booked') taken.set(event.seat, event.guest);
    else taken.delete(event.seat);
  },
  queries: {
    count: (taken) => taken.size,
    /** @param {Map<string, string>} taken */
    who: query(z.strictObject({ seat }), (taken, args) => taken.get(args.seat) ?? null),
  },
});

export const kinds = [seats];
