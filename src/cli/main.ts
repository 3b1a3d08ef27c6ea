#!/usr/bin/env node
import { chaosCommand } from '../chaos/command.js';
import { devCommand } from './dev.js';
import { nodeCommand } from './node.js';
import { run } from './run.js';

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

const { stdin, stdout, stderr, env } = process;
const io = { stdin, stdout, stderr, env };
const longCommands = { dev: devCommand, node: nodeCommand, chaos: chaosCommand };
process.exitCode = await run(process.argv.slice(2), io, longCommands);
// Input that nobody reads any more must not keep the process alive.
stdin.destroy();
