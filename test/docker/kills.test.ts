import assert from 'node:assert/strict';
import { killAtWrites } from './kills.ts';
import { story } from './story.ts';
import { meshed } from './weft.ts';

story(
  'wherever weftd is killed while it answers Docker, both agree afterwards and nothing is left over',
  { hosts: 1, patience: 280_000 },
  async (lab) => {
    await meshed(lab);
    const kills = await killAtWrites(lab.host(1), { every: 15, checkEach: false });
    assert.ok(kills >= 3, `${kills}`);
  },
);
