import type { EndpointId } from '../../src/core/ids.ts';
import { createMemoryHost, createMemoryMachine } from '../../src/ports/memory/host.ts';
import { hostContract } from './host.ts';

hostContract('Host in memory', false, async () => {
  const machine = createMemoryMachine();
  return {
    start: () => createMemoryHost(machine),
    async addSandbox(name, interfaces = []) {
      machine.addSandbox(name, { interfaces });
      return name;
    },
    removeSandbox: async (sandbox) => machine.removeSandbox(sandbox),
    interfaces: async (sandbox) => machine.interfaces(sandbox) ?? [],
    setDown: async (_sandbox, endpoint: EndpointId) => machine.tamper(endpoint, 'down'),
    takeOffer: async (link, sandbox, name) => machine.takeOffer(link, sandbox, name),
    offers: async () => machine.offers(),
    networks: async () => machine.networks(),
    close: async () => undefined,
  };
});
