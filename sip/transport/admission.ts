/** Counts connections in all and by address, and says when there are enough. */
export class Admission {
  readonly #most: number;
  readonly #mostPerAddress: number;
  readonly #byAddress = new Map<string, number>();
  #count = 0;

  constructor(most: number, mostPerAddress: number) {
    this.#most = most;
    this.#mostPerAddress = mostPerAddress;
  }

  /** Connections that are in. */
  get count(): number {
    return this.#count;
  }

  /** Takes a place for a connection; a text says why there is none. Each place taken is to be given back by `leave`. */
  enter(address: string): string | undefined {
    const held = this.#byAddress.get(address) ?? 0;
    if (this.#count >= this.#most) return `${this.#count} connections in all`;
    if (held >= this.#mostPerAddress) return `${held} connections from this address`;
    this.#count += 1;
    this.#byAddress.set(address, held + 1);
    return undefined;
  }

  leave(address: string): void {
    const held = this.#byAddress.get(address) ?? 0;
    this.#count -= 1;
    if (held > 1) this.#byAddress.set(address, held - 1);
    else this.#byAddress.delete(address);
  }
}
