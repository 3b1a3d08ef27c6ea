import type { Reporter, TestModule, TestRunEndReason } from 'vitest/node';

interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/**
 * Ends a run with one plain line that machines can read. Whatever went wrong outside a test counts
 * as a failure too: a file that does not load, a hook that throws, an error nobody caught.
 */
export const closingLine: Reporter = {
  onTestRunEnd(modules, unhandled, reason) {
    const { passed, failed } = countRun(modules, unhandled.length, reason);
    process.stdout.write(`${passed} passed, ${failed} failed\n`);
  },
};

export function countRun(
  modules: readonly TestModule[],
  unhandled: number,
  reason: TestRunEndReason,
): Counts {
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const states = tests.map((test) => test.result().state);
  const suites = modules.flatMap((module) => [...module.children.allSuites()]);
  const broken = [...modules, ...suites].filter((unit) => unit.errors().length > 0);
  const failed = states.filter((state) => state === 'failed').length + broken.length + unhandled;
  const hidden = reason !== 'passed' && failed === 0 ? 1 : 0;
  return { passed: states.filter((state) => state === 'passed').length, failed: failed + hidden };
}
