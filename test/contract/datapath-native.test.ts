import { test } from 'node:test';
import { createNativeRig, missing } from './datapath-native-rig.ts';
import { datapathSuite } from './datapath-suite.ts';

const reason = missing();
if (reason) test('datapath: native', { skip: reason }, () => {});
else datapathSuite('native', createNativeRig);
