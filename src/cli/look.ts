/** Commands that only look. */
import type { Command } from 'commander';
import { handle, type Run, type Session, waitFor } from './session.js';
import { table } from './table.js';
import {
  clusterWords,
  doctorWords,
  groupsWords,
  groupWords,
  historyWords,
  nodesWords,
  operationsWords,
  operationWords,
} from './words.js';

export function addLookCommands(program: Command, run: Run): void {
  handle(
    program.command('status').description('cluster, nodes and groups at a glance'),
    run,
    status,
  );
  const doctor = program
    .command('doctor')
    .description(
      'checks broker, streams, durability, clocks, versions and groups; says what to change',
    );
  handle(doctor, run, async (session) => {
    const report = await session.client.doctor();
    await session.show(report, () => doctorWords(report));
    return report.ok ? 0 : 1;
  });
  handle(program.command('nodes').description('all nodes'), run, async (session) => {
    const nodes = await session.client.nodes();
    return session.show(nodes, () => nodesWords(nodes));
  });
  handle(program.command('kinds').description('kinds the node runs'), run, async (session) => {
    const kinds = await session.client.kinds();
    const rows = kinds.map(({ name, version }) => [name, version]);
    return session.show(kinds, () => table(['KIND', 'VERSION'], rows));
  });
  addGroupCommands(program, run);
  addOperationCommands(program, run);
}

function addGroupCommands(program: Command, run: Run): void {
  handle(program.command('groups').description('all groups'), run, async (session) => {
    const groups = await session.client.groups();
    return session.show(groups, () => groupsWords(groups));
  });
  const group = program.command('group').description('one group and its members');
  handle<[string]>(group.argument('<name>'), run, async (session, [name]) => {
    const document = await session.client.group(name);
    return session.show(document, () => groupWords(document));
  });
  const history = program.command('history').description('every change of the writer, timed');
  handle<[string]>(history.argument('<group>'), run, async (session, [name]) => {
    const entries = await session.client.history(name);
    return session.show(entries, () => historyWords(entries));
  });
}

function addOperationCommands(program: Command, run: Run): void {
  handle(program.command('operations').description('all operations'), run, async (session) => {
    const operations = await session.client.operations();
    return session.show(operations, () => operationsWords(operations));
  });
  const one = program
    .command('operation')
    .description('one operation')
    .argument('<id>')
    .option('--wait', 'until it ends; exit code 1 if it failed');
  handle<[string], { wait?: true }>(one, run, async (session, [id], { wait }) => {
    const operation = wait ? await waitFor(session, id) : await session.client.operation(id);
    await session.show(operation, () => operationWords(operation));
    return wait && operation.state !== 'done' ? 1 : 0;
  });
  const cancel = program.command('cancel').description('ask an operation to end');
  handle<[string]>(cancel.argument('<id>'), run, async (session, [id]) => {
    const operation = await session.client.cancelOperation(id);
    return session.show(operation, () => operationWords(operation));
  });
}

async function status(session: Session): Promise<number> {
  const { client } = session;
  const [cluster, groups] = await Promise.all([client.cluster(), client.groups()]);
  const words = () =>
    [clusterWords(cluster), nodesWords(cluster.nodes), groupsWords(groups)].join('\n');
  return session.show({ cluster, groups }, words);
}
