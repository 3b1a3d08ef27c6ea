/**
 * Moves input into parcels and parcels out, one parcel on its way at a time: a later one may never
 * overtake an earlier one, or a deposit could be decided before its account is opened. While one is
 * on its way, input for the next is taken in until the box is full; then the input waits.
 */
export interface Box<Input, Parcel> {
  add(input: Input): void;
  readonly full: boolean;
  take(ended: boolean): Parcel | null;
}

export interface Conveyed<Parcel, Answer> {
  readonly parcel: Parcel;
  readonly answer: Answer;
}

/** Yields in order. Throws what the source or `send` throws; gives the source up in every case. */
export async function* convey<Input, Parcel, Answer>(
  source: Iterator<Input> | AsyncIterator<Input>,
  box: Box<Input, Parcel>,
  send: (parcel: Parcel) => Promise<Answer>,
): AsyncGenerator<Conveyed<Parcel, Answer>> {
  let ended = false;
  let reading: Promise<'read'> | null = null;
  let sending: Promise<Conveyed<Parcel, Answer>> | null = null;
  const read = async (): Promise<'read'> => {
    const next = await source.next();
    if (next.done) ended = true;
    else box.add(next.value);
    return 'read';
  };
  try {
    for (;;) {
      if (sending === null) {
        const parcel = box.take(ended);
        if (parcel === null && ended) return;
        if (parcel !== null) sending = send(parcel).then((answer) => ({ parcel, answer }));
      }
      if (!ended && !box.full) reading ??= read();
      const first = await Promise.race([reading, sending].filter((promise) => promise !== null));
      if (first === 'read') reading = null;
      else {
        sending = null;
        yield first;
      }
    }
  } finally {
    ignore(reading);
    ignore(sending);
    // A source that is waiting for input returns only when some comes: do not wait with it.
    ignore(Promise.resolve(source.return?.()));
  }
}

/** Whatever it comes to, nobody waits for it any more. */
function ignore(promise: Promise<unknown> | null): void {
  promise?.catch(() => undefined);
}
