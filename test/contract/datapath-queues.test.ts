import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

/** What a sending thread decides about queues, without kernel and clock: native/test/queues.cc tells each story. */

const STORIES = {
  emptied: 'a queue that is empty now and then loses nothing, however much passes',
  standing: 'a queue that only stands loses one segment after each three MiB',
  anew: 'a queue that was emptied starts to count anew',
  room: 'while the main queue has room, nobody is moved',
  slow: 'who fills a queue of its own stays there until it has drained; who does not comes back',
  trial: 'before its trial is over, nobody comes back',
  many: 'of twenty peers the one that is slow is found, and all others are back',
  peace: 'who made room for another is left in peace for a second',
  more: 'when there are more slow peers than sidings, those that are out stay out',
  none: 'on a kernel that allows no sidings, nobody is moved',
};
const SOURCE = join(import.meta.dirname, '../../native/test/queues.cc');
const withoutCompiler = spawnSync('g++', ['--version']).status === 0 ? false : 'needs g++';

describe('datapath: queues of a sending thread', { skip: withoutCompiler }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-queues-'));
  const program = join(folder, 'queues');
  before(() => {
    const flags = ['-std=c++20', '-O1', '-Wall', '-Wextra', '-Werror', '-fsanitize=undefined'];
    execFileSync('g++', [...flags, '-o', program, SOURCE]);
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [name, story] of Object.entries(STORIES))
    test(story, () => {
      const { status, stdout } = spawnSync(program, [name], { encoding: 'utf8' });
      assert.equal(status, 0, stdout);
    });
});
