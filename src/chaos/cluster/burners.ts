/** Other programs on this machine that want its cores: one process for each of them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Of what it does by turns: work, and let others work. */
const turnMs = 50;

/** Ends when its channel does: with whoever started it, however that ends. */
const program = `
process.on('disconnect', () => process.exit());
const burnMs = ${turnMs} * Number(process.argv[1]);
const burn = () => {
  for (const endMs = performance.now() + burnMs; performance.now() < endMs; );
  setTimeout(burn, ${turnMs} - burnMs);
};
burn();
`;

export class Burners {
  private constructor(private readonly children: readonly ChildProcess[]) {}

  /** `share`: of each core, 0 to 1. */
  static start(share: number): Burners {
    const stdio = ['ignore', 'ignore', 'ignore', 'ipc'] as const;
    const children = Array.from({ length: availableParallelism() }, () =>
      spawn(process.execPath, ['-e', program, String(share)], { stdio: [...stdio] }),
    );
    return new Burners(children);
  }

  get pids(): readonly number[] {
    return this.children.map(({ pid }) => pid ?? 0);
  }

  /** Resolves when they are gone. */
  async stop(): Promise<void> {
    await Promise.all(
      this.children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        await gone;
      }),
    );
  }
}
