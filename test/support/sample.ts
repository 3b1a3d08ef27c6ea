/** What takes long is run in part by `npm test`, and as a whole by `npm run test:whole`. */
const isWhole = process.env.TEST_SAMPLES === 'all';

/**
 * Of `all`, those that every `npm test` meets. Each of them has to be there: a sample that names what has
 * been renamed would test nothing.
 */
export function sampleOf<Each>(
  all: readonly Each[],
  sample: readonly Each[],
  wholly = isWhole,
): readonly Each[] {
  const unknown = sample.filter((each) => !all.includes(each));
  if (sample.length === 0 || unknown.length > 0) {
    throw new Error(`a sample has to be of what there is, not [${unknown.join(', ')}]`);
  }
  return wholly ? all : sample;
}

/** The same for things that go on without end. */
export function sampleSize(all: number, sample: number): number {
  return isWhole ? all : sample;
}
