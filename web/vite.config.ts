// How the studio is built: one page, its script and styles with hashed names, and each of them once more compressed.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

// The server sends FILE.gz to browsers that take it; a file that would hardly shrink gets none.
function compressed(): Plugin {
  let out = "";
  return {
    name: "compressed",
    apply: "build",
    configResolved(config) {
      out = config.build.outDir;
    },
    closeBundle() {
      for (const entry of readdirSync(out, { recursive: true, encoding: "utf8" })) {
        if (!/\.(html|js|css|svg|json)$/.test(entry)) continue;
        const plain = readFileSync(join(out, entry));
        const packed = gzipSync(plain, { level: 9 });
        if (packed.length < 0.9 * plain.length) writeFileSync(join(out, `${entry}.gz`), packed);
      }
    },
  };
}

// The studio is run after the first paint, but fetched at once.
function early(): Plugin {
  return {
    name: "early",
    apply: "build",
    transformIndexHtml(_html, { bundle }) {
      const start = Object.values(bundle ?? {}).find((x) => x.type === "chunk" && x.name === "start");
      if (start?.type !== "chunk") throw new Error("the studio's chunk is missing");
      const styles = [...(start.viteMetadata?.importedCss ?? [])];
      const link = (attrs: Record<string, string>) => ({ tag: "link", attrs: { ...attrs, crossorigin: "" }, injectTo: "head" as const });
      return [
        link({ rel: "modulepreload", href: `./${start.fileName}` }),
        ...styles.map((file) => link({ rel: "preload", as: "style", href: `./${file}` })),
      ];
    },
  };
}

export default defineConfig({
  plugins: [svelte(), early(), compressed()],
  base: "./", // a proxy may serve the page below a path
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // `npm run dev` beside a running server: ACESTEP_URL=http://127.0.0.1:7860
  server: { proxy: { "/v1": process.env.ACESTEP_URL ?? "http://127.0.0.1:7860" } },
  test: { include: ["tests/unit/**/*.test.ts"], environment: "node" },
});
