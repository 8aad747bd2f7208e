import {
  type Attributes,
  type Counter,
  type Histogram,
  type HrTime,
  type Meter,
  type MetricOptions,
  type UpDownCounter,
  ValueType,
} from "@opentelemetry/api";
import {
  AggregationTemporality,
  DataPointType,
  type HistogramMetricData,
  type ScopeMetrics,
} from "@opentelemetry/sdk-metrics";

/**
 * A meter whose counters and histograms cost next to nothing. The SDK's own sort and serialize the attributes of every
 * record; these look the series up by the attribute object itself and add to plain numbers, which the scrape reads. So
 * hot paths should record with attribute objects that they keep. Everything else is the given meter's, histograms that
 * do not name their bounds included.
 */
export function createTallyMeter(meter: Meter, histograms: HistogramTallies): Meter {
  const made: Pick<Meter, "createCounter" | "createUpDownCounter" | "createHistogram"> = {
    createCounter<A extends Attributes>(name: string, options?: MetricOptions): Counter<A> {
      const tally = new SumTally();
      meter.createObservableCounter(name, options).addCallback((result) => tally.observe(result));
      return tally;
    },
    createUpDownCounter<A extends Attributes>(name: string, options?: MetricOptions): UpDownCounter<A> {
      const tally = new SumTally();
      meter.createObservableUpDownCounter(name, options).addCallback((result) => tally.observe(result));
      return tally;
    },
    createHistogram<A extends Attributes>(name: string, options?: MetricOptions): Histogram<A> {
      const bounds = options?.advice?.explicitBucketBoundaries;
      return bounds === undefined ? meter.createHistogram(name, options) : histograms.create(name, bounds, options);
    },
  };
  return {
    ...made,
    createGauge: (name, options) => meter.createGauge(name, options),
    createObservableGauge: (name, options) => meter.createObservableGauge(name, options),
    createObservableCounter: (name, options) => meter.createObservableCounter(name, options),
    createObservableUpDownCounter: (name, options) => meter.createObservableUpDownCounter(name, options),
    addBatchObservableCallback: (callback, observables) => meter.addBatchObservableCallback(callback, observables),
    removeBatchObservableCallback: (callback, observables) =>
      meter.removeBatchObservableCallback(callback, observables),
  };
}

const noAttributes: Attributes = {};
/** As many series of one instrument as the SDK keeps; what is beyond them is counted together. */
const maxSeries = 2000;
const overflow: Attributes = { "otel.metric.overflow": true };

/** The series of one instrument. Equal attributes are one series; the same object is found without comparing. */
class SeriesTable<S> {
  readonly #make: (attributes: Attributes) => S;
  readonly #byObject = new WeakMap<Attributes, S>();
  readonly #byText = new Map<string, S>();

  constructor(make: (attributes: Attributes) => S) {
    this.#make = make;
  }

  get(attributes: Attributes = noAttributes): S {
    return this.#byObject.get(attributes) ?? this.#find(attributes);
  }

  all(): Iterable<S> {
    return this.#byText.values();
  }

  #find(attributes: Attributes): S {
    const text = textOf(attributes);
    let series = this.#byText.get(text);
    if (series === undefined) {
      if (this.#byText.size >= maxSeries && attributes !== overflow) return this.#find(overflow);
      series = this.#make({ ...attributes });
      this.#byText.set(text, series);
    }
    this.#byObject.set(attributes, series);
    return series;
  }
}

function textOf(attributes: Attributes): string {
  return JSON.stringify(Object.entries(attributes).sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** A counter, or an up-down counter: a number for every series. */
class SumTally {
  readonly #series = new SeriesTable((attributes) => ({ attributes, value: 0 }));

  add(value: number, attributes?: Attributes): void {
    this.#series.get(attributes).value += value;
  }

  observe(result: { observe(value: number, attributes: Attributes): void }): void {
    for (const { attributes, value } of this.#series.all()) result.observe(value, attributes);
  }
}

interface Distribution {
  readonly attributes: Attributes;
  /** One more than there are bounds. */
  readonly counts: number[];
  count: number;
  sum: number;
}

/** A histogram whose bounds are inclusive at the top, as the SDK's are. A negative or not a number is left out. */
class HistogramTally implements Histogram {
  readonly #name: string;
  readonly #options: MetricOptions;
  readonly #bounds: number[];
  readonly #series: SeriesTable<Distribution>;

  constructor(name: string, options: MetricOptions, bounds: number[]) {
    this.#name = name;
    this.#options = options;
    this.#bounds = bounds;
    this.#series = new SeriesTable((attributes) => {
      return { attributes, counts: Array<number>(bounds.length + 1).fill(0), count: 0, sum: 0 };
    });
  }

  record(value: number, attributes?: Attributes): void {
    if (!(value >= 0)) return;
    const series = this.#series.get(attributes);
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? 0)) bucket += 1;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.count += 1;
    series.sum += value;
  }

  collect(startTime: HrTime, endTime: HrTime): HistogramMetricData {
    const { description = "", unit = "", valueType = ValueType.DOUBLE } = this.#options;
    const boundaries = this.#bounds;
    return {
      descriptor: { name: this.#name, description, unit, valueType },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
      dataPointType: DataPointType.HISTOGRAM,
      dataPoints: Array.from(this.#series.all(), ({ attributes, counts, count, sum }) => {
        return { startTime, endTime, attributes, value: { buckets: { boundaries, counts: [...counts] }, count, sum } };
      }),
    };
  }
}

/** All histograms of a process. */
export class HistogramTallies {
  readonly #startTime = hrNow();
  readonly #made: HistogramTally[] = [];

  create(name: string, bounds: number[], options: MetricOptions = {}): Histogram {
    const histogram = new HistogramTally(name, options, bounds);
    this.#made.push(histogram);
    return histogram;
  }

  /** What the SDK's reader does not know of; a scrape shows it beside what that one collects. */
  collect(): ScopeMetrics {
    const now = hrNow();
    const metrics = this.#made.map((histogram) => histogram.collect(this.#startTime, now));
    return { scope: { name: "tally" }, metrics: metrics.filter(({ dataPoints }) => dataPoints.length > 0) };
  }
}

function hrNow(): HrTime {
  const ms = Date.now();
  return [Math.floor(ms / 1000), (ms % 1000) * 1_000_000];
}
