/** Rules that a test can break, to see that the model would notice. */
export interface Rules {
  readonly witnessBeforeUse: boolean;
  readonly witnessRemembers: boolean;
  readonly witnessRefusesFenced: boolean;
  readonly onlyHeirRemoves: boolean;
  readonly everybodyPromises: boolean;
  readonly takerHearsAll: boolean;
  readonly lateGrantsRefused: boolean;
  readonly promisesAreKept: boolean;
  /** Whether each successor of a removed peer collects promises of its own. */
  readonly promisesAreRenewed: boolean;
  readonly ownerOnly: boolean;
  /** Whether what a peer's own space rests on is on its disk. */
  readonly historyIsKept: boolean;
  /** Whether only the last member names an heir, and somebody who joins; otherwise whoever has none any more, and any member. */
  readonly onlyLastNames: boolean;
  /** Whether an heir keeps its role for a peer that it has removed, or promised about. */
  readonly onlyHeirHandsOver: boolean;
}

export const REAL_RULES: Rules = {
  witnessBeforeUse: true,
  witnessRemembers: true,
  witnessRefusesFenced: true,
  onlyHeirRemoves: true,
  everybodyPromises: true,
  takerHearsAll: true,
  lateGrantsRefused: true,
  promisesAreKept: true,
  promisesAreRenewed: true,
  ownerOnly: true,
  historyIsKept: true,
  onlyLastNames: true,
  onlyHeirHandsOver: true,
};

export interface Limits {
  readonly peers: number;
  /** How many more may join, each as the heir of somebody who is left alone; absent: none. */
  readonly newcomers?: number;
  /** How often an heir hands its role over, for whom and to whom; absent: never, everybody. */
  readonly handovers?: number;
  readonly wards?: string;
  readonly heirs?: string;
  readonly addresses: number;
  readonly donations: number;
  readonly removals: number;
  readonly crashes: boolean;
  /** Who owns everything at the start, and everybody knows; absent: A, which made the mesh. */
  readonly owner?: string;
  /** Donors and receivers of donations, where not everybody is to be one: fewer states of the same kind. */
  readonly donors?: string;
  readonly receivers?: string;
  /** Who removes others, and whom, alike. */
  readonly removers?: string;
  readonly victims?: string;
}
