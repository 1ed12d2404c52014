// Spectrograms of sounds by their address: fetched and decoded by the browser, computed by a worker, one after the other; the
// latest are kept.
import type { Asked } from "../lib/spectrogram.worker";
import type { Spectrum } from "../lib/spectrogram";

const RATE = 24000;
const COLUMNS = 900;
const ROWS = 96;
const KEPT = 16;

const made = new Map<string, Promise<Spectrum>>();
let queue: Promise<unknown> = Promise.resolve();

async function make(src: string): Promise<Spectrum> {
  const answer = await fetch(src, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(answer.statusText);
  const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await answer.arrayBuffer());
  const channels = Array.from({ length: Math.min(2, sound.numberOfChannels) }, (_, i) => sound.getChannelData(i).slice());
  const worker = new Worker(new URL("../lib/spectrogram.worker.ts", import.meta.url), { type: "module" });
  try {
    return await new Promise<Spectrum>((resolve, reject) => {
      worker.onmessage = (e: MessageEvent<Spectrum>) => resolve(e.data);
      worker.onerror = (e) => reject(new Error(e.message));
      const asked: Asked = { channels, rate: RATE, columns: COLUMNS, rows: ROWS };
      worker.postMessage(
        asked,
        channels.map((c) => c.buffer),
      );
    });
  } finally {
    worker.terminate();
  }
}

export function spectrogramOf(src: string): Promise<Spectrum> {
  const known = made.get(src);
  if (known) return known;
  const wanted = queue.then(() => make(src));
  queue = wanted.catch(() => made.delete(src));
  made.set(src, wanted);
  if (made.size > KEPT) made.delete(made.keys().next().value!);
  return wanted;
}
