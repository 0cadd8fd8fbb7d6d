import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAssembler, R0, R1, R2, R6, R7, STACK } from '../../src/host/bpf-assembler.ts';

/** One instruction a line, as RFC 9669 lays it out; spaces between code, registers, offset and constant. */
function lines(bytes: Uint8Array): string[] {
  const text = Buffer.from(bytes).toString('hex');
  const instructions = text.match(/.{16}/g) ?? [];
  return instructions.map((line) => line.replace(/(..)(..)(....)(........)/, '$1 $2 $3 $4'));
}

test('instructions are written as RFC 9669 has them', () => {
  const program = createAssembler();
  program.load(8, R1, R7, 22);
  program.load(16, R1, R7, 12);
  program.load(32, R2, R6, 76);
  program.load(64, R2, STACK, -16);
  program.store(8, R7, 22, [R1]);
  program.store(16, R7, 24, [R1]);
  program.store(32, STACK, -4, [R1]);
  program.store(64, STACK, -16, [R1]);
  program.store(32, STACK, -8, 32);
  program.do(R6, '=', [R1]);
  program.do(R0, '=', -1);
  program.do(R1, '+', [R2]);
  program.do(R1, '-', 1);
  program.do(R1, '&', 15);
  program.do(R1, '<<', 2);
  program.do(R1, '>>', 4);
  program.call(23);
  program.exit();
  assert.deepEqual(lines(program.bytes()), [
    '71 71 1600 00000000',
    '69 71 0c00 00000000',
    '61 62 4c00 00000000',
    '79 a2 f0ff 00000000',
    '73 17 1600 00000000',
    '6b 17 1800 00000000',
    '63 1a fcff 00000000',
    '7b 1a f0ff 00000000',
    '62 0a f8ff 20000000',
    'bf 16 0000 00000000',
    'b7 00 0000 ffffffff',
    '0f 21 0000 00000000',
    '17 01 0000 01000000',
    '57 01 0000 0f000000',
    '67 01 0000 02000000',
    '77 01 0000 04000000',
    '85 00 0000 17000000',
    '95 00 0000 00000000',
  ]);
});

test('jumps go to labels before and behind them, and count a map as the two instructions that it is', () => {
  const program = createAssembler();
  program.label('start');
  program.if(R1, '==', 0, 'end');
  program.if(R1, '!=', [R2], 'end');
  program.map(R1, 7);
  program.entry(R1, 8);
  program.if(R1, '&', 3, 'start');
  program.if(R1, '>', [R2], 'start');
  program.if(R1, '<=', 1, 'end');
  program.goto('start');
  program.label('end');
  program.exit();
  assert.deepEqual(lines(program.bytes()), [
    '15 01 0900 00000000',
    '5d 21 0800 00000000',
    '18 11 0000 07000000',
    '00 00 0000 00000000',
    '18 21 0000 08000000',
    '00 00 0000 00000000',
    '45 01 f9ff 03000000',
    '2d 21 f8ff 00000000',
    'b5 01 0100 01000000',
    '05 00 f6ff 00000000',
    '95 00 0000 00000000',
  ]);
});

test('a label that is nowhere is no program', () => {
  const program = createAssembler();
  program.goto('nowhere');
  assert.throws(() => program.bytes(), /no label nowhere/);
});
