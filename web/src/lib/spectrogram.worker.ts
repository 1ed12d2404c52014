// Spectrograms beside the page, so that it stays smooth while they are made.
import { mono, spectrogram } from "./spectrogram";

export interface Asked {
  channels: Float32Array<ArrayBuffer>[];
  rate: number;
  columns: number;
  rows: number;
}

self.onmessage = (e: MessageEvent<Asked>) => {
  const { channels, rate, columns, rows } = e.data;
  const made = spectrogram(mono(channels), rate, columns, rows);
  self.postMessage(made, { transfer: [made.cells.buffer] });
};
