// Sound as a picture of its frequencies: columns in time, rows on a logarithmic scale, decibels as bytes.

export interface Spectrum {
  columns: number;
  rows: number; // the lowest frequency first
  low: number; // Hz, of the first row
  high: number; // Hz, of the last row
  cells: Uint8Array; // column by column; 0: RANGE dB below the loudest cell, or less; 255: the loudest
}

const SIZE = 2048; // samples of one transform
const LOOKS = 4; // transforms of one column at most; the loudest counts
const RANGE = 72; // dB
const LOW = 40;

/** Row of a frequency, from 0 to 1 between `low` and `high`. */
export const heightOf = (hz: number, low: number, high: number) => Math.log(hz / low) / Math.log(high / low);

/** In place, radix two; lengths are powers of two. */
export function fft(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j]!, re[i]!];
      [im[i], im[j]] = [im[j]!, im[i]!];
    }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const half = size >> 1;
    const angle = (-2 * Math.PI) / size;
    for (let k = 0; k < half; k++) {
      const c = Math.cos(angle * k);
      const s = Math.sin(angle * k);
      for (let i = k; i < n; i += size) {
        const j = i + half;
        const x = re[j]! * c - im[j]! * s;
        const y = re[j]! * s + im[j]! * c;
        re[j] = re[i]! - x;
        im[j] = im[i]! - y;
        re[i] = re[i]! + x;
        im[i] = im[i]! + y;
      }
    }
  }
}

/** The mean of all channels. */
export function mono(channels: Float32Array[]): Float32Array {
  const [first, ...rest] = channels;
  if (!first || !rest.length) return first ?? new Float32Array(0);
  const out = Float32Array.from(first);
  for (const c of rest) for (let i = 0; i < out.length; i++) out[i]! += c[i] ?? 0;
  for (let i = 0; i < out.length; i++) out[i]! /= channels.length;
  return out;
}

/** `samples` at `rate` Hz as `columns` x `rows` cells. */
export function spectrogram(samples: Float32Array, rate: number, columns: number, rows: number): Spectrum {
  const high = 0.46 * rate;
  const power = new Float64Array(columns * rows);
  const re = new Float64Array(SIZE);
  const im = new Float64Array(SIZE);
  const window = Float64Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));
  // Bins of each row: at least one, and every bin between two rows.
  const bin = (row: number) => (LOW * (high / LOW) ** (row / rows) * SIZE) / rate;
  const span = samples.length / columns;
  const looks = Math.max(1, Math.min(LOOKS, Math.ceil(span / SIZE)));
  let most = 0;
  for (let x = 0; x < columns; x++)
    for (let look = 0; look < looks; look++) {
      const from = Math.round((x + (look + 0.5) / looks) * span - SIZE / 2);
      for (let i = 0; i < SIZE; i++) re[i] = (samples[from + i] ?? 0) * window[i]!;
      im.fill(0);
      fft(re, im);
      for (let y = 0; y < rows; y++) {
        const first = Math.max(1, Math.floor(bin(y)));
        const last = Math.max(first + 1, Math.floor(bin(y + 1)));
        let p = 0;
        for (let k = first; k < last; k++) p = Math.max(p, re[k]! * re[k]! + im[k]! * im[k]!);
        const at = x * rows + y;
        if (p > power[at]!) power[at] = p;
        if (p > most) most = p;
      }
    }
  const cells = new Uint8Array(columns * rows);
  if (most > 0)
    for (let i = 0; i < cells.length; i++)
      cells[i] = Math.max(0, Math.round(255 * (1 + (10 * Math.log10(power[i]! / most)) / RANGE))) || 0;
  return { columns, rows, low: LOW, high, cells };
}
