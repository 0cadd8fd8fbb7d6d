import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFileStore } from '../../src/host/file-store.ts';
import { createMemoryStore } from '../../src/ports/memory/store.ts';
import { storeSuite } from './store-suite.ts';

storeSuite('memory', async () => {
  const store = createMemoryStore();
  return { open: () => store, damage: async (which) => store.damage(which), end: async () => {} };
});

storeSuite('file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'weft-store-'));
  const spoil = async (name: string) => {
    const content = await readFile(join(directory, name));
    content[content.length - 1] = (content[content.length - 1] as number) ^ 1;
    // Another file: the two generations may be one inode.
    await rm(join(directory, name));
    await writeFile(join(directory, name), content);
  };
  return {
    open: () => createFileStore({ directory, name: 'state' }),
    async damage(which) {
      await spoil('state');
      if (which === 'both') await spoil('state.previous');
    },
    end: () => rm(directory, { recursive: true }),
  };
});
