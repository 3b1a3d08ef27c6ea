/** Small file systems in memory, which can run full without anybody else noticing. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Volume {
  /** Below the directory of the run. */
  readonly path: string;
  readonly sizeBytes: number;
}

/** Throws if it is not allowed to. */
export function mount(dir: string, { path, sizeBytes }: Volume): void {
  const target = join(dir, path);
  mkdirSync(target, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', target], {
    stdio: 'pipe',
  });
}

/** What is not mounted any more, or never was, stays as it is. */
export function unmount(dir: string, { path }: Volume): void {
  try {
    execFileSync('umount', [join(dir, path)], { stdio: 'pipe' });
  } catch {}
}

/** Why there can be none here; null: there can. */
export function lacksVolumes(): string | null {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-volume-'));
  const volume = { path: 'volume', sizeBytes: 1_048_576 };
  try {
    mount(dir, volume);
    unmount(dir, volume);
    return null;
  } catch {
    return 'it mounts small file systems, and only root may do so, on Linux';
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
