import { createLibp2pWorld } from './libp2p-world.ts';
import { transportSuite } from './transport-suite.ts';

transportSuite('libp2p', createLibp2pWorld);
