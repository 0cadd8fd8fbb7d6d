import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RECORD_RULES } from '../../src/daemon/status/record-warnings.ts';
import type { Facts } from '../../src/daemon/status/warnings.ts';
import type { Warning } from '../../src/doors/control.ts';

function warnings(fill: number, quarantined: readonly object[] = []): readonly Warning[] {
  const mesh = {
    membership: { self: 'self' },
    records: {
      replica: { fill: () => fill },
      quarantined: () => quarantined,
      get: () => ({ nickname: 'blue' }),
    },
  };
  return RECORD_RULES.flatMap((rule) => rule({ network: { mesh } } as unknown as Facts) ?? []);
}

test('a host that has written nearly all that it may write is told, before it is too late', () => {
  assert.deepEqual(warnings(0.74), []);
  const [warning] = warnings(0.7599);
  assert.equal(warning?.code, 'records-full');
  assert.match(warning?.text ?? '', /^75 % of the records/);
  assert.match(warning?.remedy ?? '', /weft remove/);
  assert.deepEqual(RECORD_RULES.map((rule) => rule({ network: undefined } as Facts)).filter(Boolean), []);
});

test('who wrote records that were refused is named, the worst first', () => {
  const [warning] = warnings(0, [{ author: '12D3KooWevil', problem: 'bad-signature', count: 3 }]);
  assert.equal(warning?.code, 'records-refused');
  assert.match(warning?.text ?? '', /3 records were refused, most of blue \(…KooWevil\): bad-signature/);
});
