// A model hub on this machine, in the layout of Hugging Face, that holds one small model: the autoencoder.
import { createHash } from "node:crypto";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Hub {
  url: string;
  /** While true, the weights stop in their middle until release(). */
  hold: boolean;
  release: () => void;
  /** Answers that have stopped there. */
  waiting: () => number;
  close: () => void;
}

const HALF = 150_000;

export async function openHub(): Promise<Hub> {
  const weights = Buffer.from(Uint8Array.from({ length: 2 * HALF }, (_, i) => (i * 131) >> 3));
  const sum = createHash("sha256").update(weights).digest("hex");
  const config = Buffer.from('{"downsampling_ratios": [2]}');
  const held: (() => void)[] = [];
  const send = (r: ServerResponse, bytes: Buffer, from: number) => {
    r.writeHead(from ? 206 : 200, {
      "Content-Length": bytes.length - from,
      ...(from ? { "Content-Range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    if (!hub.hold || bytes !== weights || from >= HALF) return r.end(bytes.subarray(from));
    r.write(bytes.subarray(from, HALF), () => held.push(() => r.end(bytes.subarray(HALF))));
    return r;
  };
  const server: Server = createServer((q, r) => {
    const path = q.url ?? "";
    const from = Number(/^bytes=(\d+)-/.exec(q.headers.range ?? "")?.[1] ?? 0);
    const json = (x: unknown) => r.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(x));
    if (path === "/api/models/ACE-Step/Ace-Step1.5") json({ sha: "0123abcd", cardData: { license: "mit" } });
    else if (path.startsWith("/api/models/ACE-Step/Ace-Step1.5/tree/0123abcd"))
      json([
        { type: "directory", path: "vae", size: 0 },
        { type: "file", path: "vae/config.json", size: config.length },
        { type: "file", path: "vae/diffusion_pytorch_model.safetensors", size: 134, lfs: { oid: sum, size: weights.length, pointerSize: 134 } },
      ]);
    else if (path.endsWith("/vae/config.json")) send(r, config, from);
    else if (path.endsWith("/vae/diffusion_pytorch_model.safetensors")) send(r, weights, from);
    else r.writeHead(404).end("not here");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const hub: Hub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold: false,
    release: () => held.splice(0).forEach((go) => go()),
    waiting: () => held.length,
    close: () => (hub.release(), server.closeAllConnections(), void server.close()),
  };
  return hub;
}
