/** Sends something; calls what it is given, once, when that is over. */
type Sending = (over: () => void) => void;

/**
 * RFC 3428 §8: of MESSAGEs outside of calls one at a time goes to one URI, in however many rooms it is that somebody is sent
 * them. What has to wait is sent in its order.
 */
export class OnePerUri {
  /** What waits for each URI to which one is on its way. */
  readonly #waiting = new Map<string, Sending[]>();

  /** Sends it now, or when all that came before it is over. */
  take(uri: string, send: Sending): void {
    const waiting = this.#waiting.get(uri);
    if (waiting !== undefined) {
      waiting.push(send);
      return;
    }
    this.#waiting.set(uri, []);
    this.#send(uri, send);
  }

  #send(uri: string, send: Sending): void {
    let over = false;
    send(() => {
      if (over) return;
      over = true;
      const next = this.#waiting.get(uri)?.shift();
      if (next === undefined) this.#waiting.delete(uri);
      else this.#send(uri, next);
    });
  }
}
