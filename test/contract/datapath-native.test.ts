import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { createNativeRig, missing } from './datapath-native-rig.ts';
import { datapathSuite } from './datapath-suite.ts';

const LIBRARY = '/usr/lib/x86_64-linux-gnu/libIPSec_MB.so.1';

const reason = missing();
if (reason) {
  test('datapath: native', { skip: reason }, () => {});
} else {
  datapathSuite('native', createNativeRig);
  datapathSuite('native, with OpenSSL alone', () => createNativeRig({ without: ['ipsecMb'] }));

  test("Intel's library is used where it is installed, and not when it is not wanted", async () => {
    const rig = createNativeRig();
    try {
      const [one, other] = [await rig.openNative(), await rig.openNative({ without: ['ipsecMb'] })];
      assert.match(
        one.datapath.features.cipher,
        existsSync(LIBRARY) ? /^ipsec-mb avx|^ipsec-mb vaes/ : /^openssl$/,
      );
      assert.equal(other.datapath.features.cipher, 'openssl');
    } finally {
      await rig.end();
    }
  });
}
