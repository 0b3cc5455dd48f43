/** What the service counts, in the form Prometheus reads. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

/** Counts one more of a kind. */
export type Count = (kind: string) => void;

/** All figures of one service, with those of the Node process. Names begin with `grouptextchat_`. */
export class Metrics {
  readonly #registry = new Registry();

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  /**
   * A figure that only grows, apart for each value of its one label. The name must end in `_total`. To count is cheap: the
   * registry learns of it when somebody asks.
   */
  counter(name: string, help: string, label: string): Count {
    const counts = new Map<string, number>();
    new Counter({
      name: `grouptextchat_${name}`,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [kind, count] of counts) this.inc({ [label]: kind }, count);
      },
    });
    return (kind) => {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    };
  }

  /** A figure that is read from its owner when somebody asks for it. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `grouptextchat_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  /** The media type of `text`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All figures in the exposition format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
