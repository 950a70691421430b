/** Numbers, sizes and times as people read them (en). */

const integer = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const significant = new Intl.NumberFormat('en', { maximumSignificantDigits: 4 });
const three = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const dateTime = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** Stands where there is no value. */
export const NONE = '–';

/** @param {number | null | undefined} value */
export const count = (value) => (value == null ? NONE : integer.format(value));

/** @param {number | null | undefined} value e.g. 27.2K */
export const short = (value) => (value == null ? NONE : compact.format(value).replace('K', 'k'));

/** @param {number | null | undefined} value */
export const number = (value) => (value == null ? NONE : significant.format(value));

/** @param {number | null | undefined} share in [0, 1] @param {number} [digits] */
export const percent = (share, digits = 2) => (share == null ? NONE : `${(100 * share).toFixed(digits)} %`);

/** @param {number | null | undefined} difference of shares, as signed percentage points */
export function points(difference) {
  if (difference == null) return NONE;
  const value = 100 * difference;
  return `${value > 0 ? '+' : value < 0 ? '−' : '±'}${Math.abs(value).toFixed(2)} pt`;
}

/** The spread of seeds; nothing where one seed has none. @param {number | null | undefined} sd of shares @param {number} seeds */
export const spread = (sd, seeds) => (sd == null || seeds < 2 ? '' : `± ${(100 * sd).toFixed(2)}`);

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (value == null) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${(size >= 100 ? integer : three).format(size)} ${units[unit]}`;
}

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

/** @param {string | null | undefined} iso */
export const date = (iso) => (iso ? dateTime.format(new Date(iso)) : NONE);

/** @param {string | null | undefined} iso e.g. 2 hours ago */
export function ago(iso) {
  if (!iso) return NONE;
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  for (const [unit, size] of /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([['day', 86400], ['hour', 3600], ['minute', 60]])) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return 'just now';
}

/** @type {Record<string, {label: string, format: (value: any) => string, unit?: string, share?: boolean, down?: boolean}>} */
const METRICS = {
  accuracy: { label: 'Accuracy', format: percent, share: true },
  test_accuracy: { label: 'Test accuracy', format: percent, share: true },
  loss: { label: 'Loss', format: number, down: true },
  parameters: { label: 'Parameters', format: count, down: true },
  weight_bytes: { label: 'Weights', format: bytes, unit: 'bytes', down: true },
  peak_activation_bytes: { label: 'Peak memory', format: bytes, unit: 'bytes', down: true },
  macs: { label: 'MACs', format: short, down: true },
  latency_ms: { label: 'Latency', format: (value) => (value == null ? NONE : `${number(value)} ms`), down: true },
  ece: { label: 'Calibration error', format: number, down: true },
  epochs: { label: 'Epochs', format: count },
};

/** @param {string} name e.g. `peak_activation_bytes` → Peak memory */
export function label(name) {
  if (METRICS[name]) return METRICS[name].label;
  const text = name.replace(/_/g, ' ');
  if (name.includes('.')) return text;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {string} name of a metric @param {any} value in that metric's unit */
export function figure(name, value) {
  if (value == null) return NONE;
  if (METRICS[name]) return METRICS[name].format(value);
  if (typeof value !== 'number') return String(value);
  return name.endsWith('accuracy') ? percent(value) : number(value);
}

/** A figure for an axis: shorter. @param {string} name @param {number} value */
export function tick(name, value) {
  if (METRICS[name]?.unit === 'bytes') return bytes(value);
  if (METRICS[name]?.share) return `${number(100 * value)} %`;
  return short(value);
}

/** Whether less of a metric is better. @param {string} name */
export const lessIsBetter = (name) => METRICS[name]?.down ?? /loss|ece|bytes|latency/.test(name);

/** @param {number} n @param {string} one @param {string} [many] */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
