import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DockerError } from '../../docker-plugin/engine/api.ts';
import {
  parse,
  readContainerDetail,
  readContainers,
  readCreated,
  readEvent,
  readMessage,
  readNetworkDetail,
  readNetworks,
} from '../../docker-plugin/engine/decode.ts';

const READERS = [
  readContainerDetail,
  readContainers,
  readCreated,
  readEvent,
  readNetworkDetail,
  readNetworks,
];

const KEYS = [
  ...['Id', 'Name', 'Names', 'Driver', 'IPAM', 'Config', 'Subnet', 'Internal', 'Options', 'Containers'],
  ...['EndpointID', 'IPv4Address', 'State', 'Running', 'NetworkSettings', 'Networks', 'NetworkID', 'Aliases'],
  ...['Hostname', 'Labels', 'Type', 'Action', 'Actor', 'ID', 'Attributes', '__proto__', 'constructor'],
];

/** Values in the shape of Docker's, with anything in any place. */
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.constantFrom(null, true, 'container', 'network', '', 'x'.repeat(2_000)),
    fc.string(),
    fc.integer(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom(...KEYS), tie('value'), { maxKeys: 8 }),
  ),
}));

test('whatever the engine answers is read or refused with an error of its own', () => {
  fc.assert(
    fc.property(value, (data) => {
      const text = JSON.stringify(data);
      readMessage(text);
      for (const read of READERS) {
        try {
          read(parse(text));
        } catch (error) {
          assert.ok(error instanceof DockerError && error.code === 'bad-answer', String(error));
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

test('text that is no JSON is refused', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      readMessage(text);
      try {
        parse(text);
      } catch (error) {
        assert.ok(error instanceof DockerError);
      }
    }),
  );
});
