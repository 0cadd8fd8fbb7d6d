import { createMemoryNames } from '../../src/ports/memory/name-sockets.ts';
import { namesContract } from './name-sockets.ts';

namesContract('sockets for names in memory', async () => {
  const names = createMemoryNames();
  return {
    sockets: names,
    add: async (name) => {
      names.addSandbox(name);
      return name;
    },
    remove: async (name) => names.removeSandbox(name),
    query: names.query,
    tamper: async (name) => names.tamper(name),
    addResolver: async (name, answer) => names.setResolver(name, answer),
    close: async () => {},
  };
});
