// Links. A song's parameters: JSON, deflated, in the part of the address that no server is told. A batch that is shared: the
// token under which the server shows it.
import type { Schema, Values } from "./types";

const MARK = "#song=";
const MOST = 1 << 20; // characters of the JSON

/** Of what a song was made with, all that a form elsewhere can use: without recordings, which lie on this machine. */
export function portable(p: Values, schema: Schema, seed: number, title: string): Values {
  const out: Values = { task_type: p.task_type ?? "text2music" };
  for (const [name, value] of Object.entries(p)) {
    const known = schema[name];
    if (!known || known.readOnly || name.endsWith("_audio") || name === "audio_codes" || name === "model") continue;
    if (value === null || JSON.stringify(value) === JSON.stringify(known.default)) continue;
    out[name] = value;
  }
  delete out.use_random_seed;
  return { ...out, seeds: [seed], batch_size: 1, ...(title ? { title } : {}) };
}

async function through(bytes: Uint8Array<ArrayBuffer>, way: GenericTransformStream, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const reader = (new Blob([bytes]).stream().pipeThrough(way) as ReadableStream<Uint8Array>).getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > most) {
      await reader.cancel();
      throw new Error("too long");
    }
    parts.push(value);
  }
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

/** The part of an address behind and with its #. */
export async function encode(p: Values): Promise<string> {
  const packed = await through(new TextEncoder().encode(JSON.stringify(p)), new CompressionStream("deflate-raw"), MOST);
  let text = "";
  for (const b of packed) text += String.fromCharCode(b);
  return MARK + btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** What a link holds; undefined: it holds no song. Fails when it is damaged. */
export async function decode(hash: string): Promise<Values | undefined> {
  if (!hash.startsWith(MARK)) return undefined;
  const text = atob(hash.slice(MARK.length).replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  const found = JSON.parse(new TextDecoder().decode(await through(bytes, new DecompressionStream("deflate-raw"), MOST))) as unknown;
  if (typeof found !== "object" || found === null || Array.isArray(found)) throw new Error("no object");
  return found as Values;
}

const SHARED = "#shared=";
export const sharedMark = (token: string) => SHARED + token;
/** The token that an address holds; undefined: it holds none. */
export const sharedToken = (hash: string) => (hash.startsWith(SHARED) ? hash.slice(SHARED.length) : undefined);
