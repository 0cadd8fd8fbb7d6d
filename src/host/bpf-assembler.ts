/**
 * Writes programs for the kernel's virtual machine, instruction by instruction, so that nobody needs a compiler for them: the kernel's
 * Documentation/bpf/standardization/instruction-set.rst (RFC 9669). An instruction has 8 bytes: code, registers (destination in the lower half), offset, constant.
 */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;
/** Holds results; r1 to r5 are arguments, which a call destroys; r6 to r9 stay; r10 is the end of the stack. */
export const [R0, R1, R2, R3, R4, R6, R7, R8, R9, STACK] = [0, 1, 2, 3, 4, 6, 7, 8, 9, 10] as const;

export type Width = 8 | 16 | 32 | 64;
export type Condition = '==' | '!=' | '>' | '>=' | '<' | '<=' | '&';
export type Arithmetic = '=' | '+' | '-' | '&' | '<<' | '>>';

const WIDTHS: Readonly<Record<Width, number>> = { 8: 0x10, 16: 0x08, 32: 0x00, 64: 0x18 };
const CONDITIONS: Readonly<Record<Condition, number>> = {
  '==': 0x10,
  '>': 0x20,
  '>=': 0x30,
  '&': 0x40,
  '!=': 0x50,
  '<': 0xa0,
  '<=': 0xb0,
};
const ARITHMETIC: Readonly<Record<Arithmetic, number>> = {
  '+': 0x00,
  '-': 0x10,
  '&': 0x50,
  '<<': 0x60,
  '>>': 0x70,
  '=': 0xb0,
};
/** Classes of instructions, with the mode "memory" where there is one. */
const LOAD_CONSTANT = 0x18;
const LOAD = 0x61;
const STORE_CONSTANT = 0x62;
const STORE = 0x63;
const JUMP = 0x05;
const ARITHMETIC_64 = 0x07;
const FROM_REGISTER = 0x08;
const CALL = 0x85;
const EXIT = 0x95;
/** In place of a register's number: the constant is the descriptor of a map, or stands for the memory of an array's first entry. */
const MAP = 1;
const MAP_VALUE = 2;

/** A number is a constant of 32 bits with a sign; a register stands in brackets. */
type Operand = number | readonly [Register];

export interface Assembler {
  /** `to` = memory at `from` + `offset`. */
  load(width: Width, to: Register, from: Register, offset: number): void;
  store(width: Width, to: Register, offset: number, value: Operand): void;
  do(to: Register, operation: Arithmetic, value: Operand): void;
  /** Goes on at the label if the condition, without signs, holds. `&`: they have a bit in common. */
  if(left: Register, condition: Condition, right: Operand, label: string): void;
  goto(label: string): void;
  label(name: string): void;
  /** `to` = the map that belongs to an open descriptor. */
  map(to: Register, descriptor: number): void;
  /** `to` = address of the first entry of an array. */
  entry(to: Register, descriptor: number): void;
  /** A helper of the kernel by its number; the result is in r0. */
  call(helper: number): void;
  exit(): void;
  /** All of it. Throws when a label is missing. */
  bytes(): Uint8Array;
}

interface Instruction {
  readonly code: number;
  readonly to: number;
  readonly from: number;
  readonly offset: number | string;
  readonly constant: number;
}

export function createAssembler(): Assembler {
  const instructions: Instruction[] = [];
  const labels = new Map<string, number>();

  function add(code: number, to = 0, from = 0, offset: number | string = 0, constant = 0): void {
    instructions.push({ code, to, from, offset, constant });
  }
  function withOperand(code: number, to: number, value: Operand, offset: number | string): void {
    if (typeof value === 'number') add(code, to, 0, offset, value);
    else add(code | FROM_REGISTER, to, value[0], offset);
  }
  function loadMap(to: Register, meaning: number, descriptor: number): void {
    add(LOAD_CONSTANT, to, meaning, 0, descriptor);
    // The upper half of a constant of 64 bits is an instruction of its own.
    add(0);
  }
  function offsetOf({ offset }: Instruction, at: number): number {
    if (typeof offset === 'number') return offset;
    const target = labels.get(offset);
    if (target === undefined) throw new Error(`the program has no label ${offset}`);
    return target - at - 1;
  }

  return {
    load: (width, to, from, offset) => add(LOAD | WIDTHS[width], to, from, offset),
    store(width, to, offset, value) {
      if (typeof value === 'number') add(STORE_CONSTANT | WIDTHS[width], to, 0, offset, value);
      else add(STORE | WIDTHS[width], to, value[0], offset);
    },
    do: (to, operation, value) => withOperand(ARITHMETIC_64 | ARITHMETIC[operation], to, value, 0),
    if: (left, condition, right, label) => withOperand(JUMP | CONDITIONS[condition], left, right, label),
    goto: (label) => add(JUMP, 0, 0, label),
    label: (name) => void labels.set(name, instructions.length),
    map: (to, descriptor) => loadMap(to, MAP, descriptor),
    entry: (to, descriptor) => loadMap(to, MAP_VALUE, descriptor),
    call: (helper) => add(CALL, 0, 0, 0, helper),
    exit: () => add(EXIT),
    bytes() {
      const bytes = new Uint8Array(instructions.length * 8);
      const view = new DataView(bytes.buffer);
      for (const [at, instruction] of instructions.entries()) {
        view.setUint8(at * 8, instruction.code);
        view.setUint8(at * 8 + 1, instruction.to | (instruction.from << 4));
        view.setInt16(at * 8 + 2, offsetOf(instruction, at), true);
        view.setInt32(at * 8 + 4, instruction.constant, true);
      }
      return bytes;
    },
  };
}
