/** The parts of the package dns-packet (5.6.1) that are used here; it comes without types. */
declare module 'dns-packet' {
  interface Question {
    readonly name: string;
    readonly type: string;
    readonly class: string;
  }

  interface Packet {
    readonly id: number;
    readonly rcode: string;
    readonly flag_tc: boolean;
    readonly flag_aa: boolean;
    readonly questions: readonly Question[];
    readonly answers: readonly { readonly name: string; readonly type: string; readonly data: unknown }[];
    readonly additionals: readonly {
      readonly type: string;
      readonly udpPayloadSize?: number;
      readonly ednsVersion?: number;
    }[];
  }

  type Answer =
    | {
        readonly type: 'A' | 'PTR';
        readonly name: string;
        readonly class: 'IN';
        readonly ttl: number;
        readonly data: string;
      }
    | OptRecord;

  interface OptRecord {
    readonly type: 'OPT';
    readonly name: '.';
    readonly udpPayloadSize: number;
    readonly extendedRcode: number;
    readonly ednsVersion: number;
    readonly flags: 0;
    readonly options: readonly never[];
  }

  /** Throws on anything malformed. Makes room for as many records as the header says before it looks for them. */
  export function decode(message: Buffer): Packet;
  export function encode(message: {
    readonly type: 'query' | 'response';
    readonly id: number;
    readonly flags: number;
    readonly questions: readonly Question[];
    readonly answers?: readonly Answer[];
    readonly additionals?: readonly OptRecord[];
  }): Buffer;
  export const name: { encode(name: string): Buffer };
  export const answer: { encode(answer: Answer): Buffer };
}
