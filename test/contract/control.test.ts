import { createMemoryControl } from '../../src/doors/memory-control.ts';
import { controlContract } from './control.ts';
import { FOREIGN_TOKEN, TOKENS } from './support/memory-weftd.ts';

controlContract('memory', async () => ({
  control: createMemoryControl({ tokens: TOKENS }),
  sandboxes: ['blue', 'green'],
  foreignToken: async () => FOREIGN_TOKEN,
  close: async () => {},
}));
