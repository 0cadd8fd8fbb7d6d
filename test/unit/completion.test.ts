import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { completionFor } from '../../src/cli/completion.ts';
import { processIo } from '../../src/cli/io.ts';
import { createProgram } from '../../src/cli/program.ts';

const program = createProgram(processIo, async () => {});
const SHELLS = ['bash', 'zsh', 'fish'] as const;

function has(shell: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${shell}`]).status === 0;
}

/** What bash offers for the last of the words. */
function offers(...words: string[]): string[] {
  const script = `${completionFor('bash', program)}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
_weft; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-euc', script], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout
    .trim()
    .split('\n')
    .filter((word) => word !== '');
}

test('every script names every command and every flag', () => {
  for (const shell of SHELLS) {
    const script = completionFor(shell, program);
    for (const command of program.commands) {
      assert.ok(script.includes(command.name()), `${shell} ${command.name()}`);
      for (const option of command.options) {
        const flag = shell === 'fish' ? `-l ${option.long?.slice(2)}` : (option.long ?? '');
        assert.ok(script.includes(flag), `${shell} ${flag}`);
      }
    }
  }
});

test('every script is one that its shell can read', (t) => {
  for (const shell of SHELLS) {
    if (!has(shell)) {
      t.diagnostic(`${shell} is not installed here: its script was not read by it`);
      continue;
    }
    const { status, stderr } = spawnSync(shell, ['-n'], {
      input: completionFor(shell, program),
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${shell}: ${stderr}`);
  }
});

test('bash offers commands, sections, shells and flags where they belong', {
  skip: !has('bash') && 'needs bash',
}, () => {
  assert.deepEqual(offers('weft', 'sta'), ['status']);
  assert.ok(offers('weft', '').includes('attach'));
  assert.deepEqual(offers('weft', 'status', ''), ['peers', 'connections', 'paths', 'ipam', 'endpoints']);
  assert.deepEqual(offers('weft', '--json', 'status', 'ip'), ['ipam']);
  assert.deepEqual(offers('weft', 'trust', ''), ['add', 'remove', 'ls']);
  assert.deepEqual(offers('weft', 'completion', 'z'), ['zsh']);
  assert.deepEqual(offers('weft', 'network', 'r'), ['rename', 'rm']);
  assert.deepEqual(offers('weft', 'network', 'create', 'web', '--sub'), ['--subnet']);
  assert.deepEqual(offers('weft', 'network', 'create', 'web', ''), [], 'a verb is said once');
  assert.deepEqual(offers('weft', 'network', 'create', '--subnet', '10.34.0.0/16', ''), []);
  assert.deepEqual(offers('weft', 'status', 'ipam', ''), []);
  assert.deepEqual(offers('weft', '--socket', '/run/status', 'network', 'r'), ['rename', 'rm']);
  assert.deepEqual(offers('weft', 'attach', 'blue', '--name', 'network', '--i'), ['--ip', '--interface']);
  assert.deepEqual(offers('weft', 'invite', '--u'), ['--uses']);
  assert.deepEqual(offers('weft', 'attach', 'blue', '--ip', ''), []);
  assert.ok(offers('weft', 'join', '--token-file', '/etc/host').includes('/etc/hostname'));
});
