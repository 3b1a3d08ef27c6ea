/**
 * What a ledger must hold after a file of commands: a second opinion that shares no code with the
 * `ledger` kind and adds up in BigInt.
 *
 *   node examples/fold-ledger.mjs FILE
 *
 * The first line it prints equals what `understudy query ledger totals` answers after
 * `understudy deliver ledger FILE` into a new group; the second counts the answers.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

const [file] = process.argv.slice(2);
if (file === undefined) {
  process.stderr.write('usage: node examples/fold-ledger.mjs FILE\n');
  process.exit(2);
}

const largest = 2n ** 53n - 1n;
/** @type {Map<string, bigint>} */
const balances = new Map();
const total = { deposited: 0n, withdrawn: 0n };
const answers = { accepted: 0, rejected: 0 };
/** @type {Map<string, number>} */
const reasons = new Map();

for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
  if (line.trim() === '') continue;
  const reason = answer(JSON.parse(line));
  if (reason === undefined) answers.accepted += 1;
  else {
    answers.rejected += 1;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
}

let sum = 0n;
for (const balance of balances.values()) sum += balance;
print({
  accounts: balances.size,
  sum: Number(sum),
  deposited: Number(total.deposited),
  withdrawn: Number(total.withdrawn),
});
print({ ...answers, reasons: Object.fromEntries([...reasons].sort()) });

/**
 * Books a command, or says why not.
 * @param {{type: string, account: string, from: string, to: string, amount: number}} command
 * @returns {string | undefined}
 */
function answer(command) {
  const { type, account, from, to } = command;
  if (type === 'open') {
    if (balances.has(account)) return 'account-exists';
    balances.set(account, 0n);
    return undefined;
  }
  if (!(Number.isSafeInteger(command.amount) && command.amount >= 1)) return 'bad-amount';
  const amount = BigInt(command.amount);
  const payer = { deposit: undefined, withdraw: account, transfer: from }[type];
  const payee = { deposit: account, withdraw: undefined, transfer: to }[type];
  if ([payer, payee].some((name) => name !== undefined && !balances.has(name))) {
    return 'unknown-account';
  }
  if (payer !== undefined && (balances.get(payer) ?? 0n) < amount) return 'insufficient-funds';
  if (type === 'deposit' && total.deposited + amount > largest) return 'bad-amount';
  if (payer !== undefined) balances.set(payer, (balances.get(payer) ?? 0n) - amount);
  if (payee !== undefined) balances.set(payee, (balances.get(payee) ?? 0n) + amount);
  if (payer === undefined) total.deposited += amount;
  if (payee === undefined) total.withdrawn += amount;
  return undefined;
}

/** @param {object} document */
function print(document) {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}
