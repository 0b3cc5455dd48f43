/** What the service counts, in the form Prometheus reads. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

/** Something that is counted up, apart for each combination of labels. */
export type Count<Label extends string> = (labels: Readonly<Record<Label, string>>, by?: number) => void;

/** All figures of one service, with those of the Node process. Names begin with `grouptextchat_`. */
export class Metrics {
  readonly #registry = new Registry();

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** A figure that only grows. The name must end in `_total`. */
  counter<Label extends string = never>(name: string, help: string, labels: readonly Label[] = []): Count<Label> {
    const counter = new Counter({
      name: `grouptextchat_${name}`,
      help,
      labelNames: labels,
      registers: [this.#registry],
    });
    return (values, by = 1) => counter.inc(values, by);
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
