/** Whatever stops the program from outside: what it has started ends first. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** As shells tell of a program that was interrupted. */
export const interruptedExitCode = 130;

/** Returns how to stop listening. Until then the program ends when `end` has, at the first signal. */
export function onInterrupt(end: () => Promise<void>): () => void {
  let isEnding = false;
  const heard = () => {
    if (isEnding) return;
    isEnding = true;
    void end().finally(() => process.exit(interruptedExitCode));
  };
  for (const signal of signals) process.on(signal, heard);
  return () => {
    for (const signal of signals) process.off(signal, heard);
  };
}
