import { idWord } from './ids.ts';
import type { Pending } from './transactions.ts';

/** A request of ours that carries no message, and what to do with its answer. */
export class Question implements Pending {
  readonly idHigh: number;
  readonly idLow: number;
  readonly settle: (status: number, comment: string) => void;

  constructor(idPart: string, settle: (status: number, comment: string) => void) {
    this.idHigh = idWord(idPart, 0);
    this.idLow = idWord(idPart, 4);
    this.settle = settle;
  }
}
