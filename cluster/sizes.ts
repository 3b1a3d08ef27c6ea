/** Bytes and times as people read them. */

const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Two digits at least, so that what is under way is seen to move. */
export function sizeText(sizeBytes: number): string {
  let value = sizeBytes;
  let unit = 0;
  while (Math.round(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

export function secondsText(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A fetch under way. */
export interface Moving {
  readonly doneSizeBytes: number;
  readonly knownSizeBytes: number;
  readonly bytesPerSecond: number;
  /** Null: nobody can tell. */
  readonly secondsLeft: number | null;
}

/** `412 MiB of 1.0 GiB, 210 MiB/s, 3 s left` */
export function movingText(moving: Moving): string {
  const { doneSizeBytes, knownSizeBytes, bytesPerSecond, secondsLeft } = moving;
  const done = `${sizeText(doneSizeBytes)} of ${sizeText(knownSizeBytes)}`;
  const left = secondsLeft === null ? '' : `, ${secondsText(secondsLeft)} left`;
  return `${done}, ${sizeText(bytesPerSecond)}/s${left}`;
}

/** Whole, and 100 only when all is there. */
export function percentOf({ doneSizeBytes, knownSizeBytes }: Moving): number {
  return knownSizeBytes === 0 ? 0 : Math.floor((100 * doneSizeBytes) / knownSizeBytes);
}
