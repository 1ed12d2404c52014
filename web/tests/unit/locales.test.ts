// A visitor never sees a raw key: every locale has every word of the English source, with the same placeholders, and every
// word that the page asks for is there.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

type Tree = { [key: string]: string | Tree };
const folder = join(__dirname, "../../src/locales");
const read = (code: string) => JSON.parse(readFileSync(join(folder, `${code}.json`), "utf8")) as Tree;

function flat(tree: Tree, prefix = "", out: Record<string, string> = {}): Record<string, string> {
  for (const [key, value] of Object.entries(tree))
    if (typeof value === "string") out[prefix + key] = value;
    else flat(value, `${prefix}${key}.`, out);
  return out;
}
const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map((m) => m[0]).sort();
const english = flat(read("en"));
const others = readdirSync(folder)
  .map((f) => f.replace(".json", ""))
  .filter((code) => code !== "en");

/** Words that are the same everywhere: names of things, not language. */
const SAME = /^[\p{ASCII}\s“”…⌘]*$/u;
const LATIN =
  /^(chips|choice)\.|DCW|LoRA|^param\.(bpm|use_adg|seed)|_label$|^details\.bpm|backend_|\{error\}$|^generation\.action_|tier|^stages\.step$/;

describe("locales", () => {
  it("are English, Chinese and Japanese at least", () => expect(others).toEqual(expect.arrayContaining(["zh", "ja"])));

  for (const code of others) {
    const words = flat(read(code));
    it(`${code} has every key, and no other`, () => {
      expect(Object.keys(words).sort()).toEqual(Object.keys(english).sort());
    });
    it(`${code} keeps every placeholder`, () => {
      for (const [key, text] of Object.entries(english)) expect([key, holes(words[key] ?? "")]).toEqual([key, holes(text)]);
    });
    it(`${code} is translated`, () => {
      const left = Object.entries(english)
        .filter(([key, text]) => words[key] === text && SAME.test(text) && text.split(" ").length > 2 && !LATIN.test(key))
        .map(([key]) => key);
      expect(left).toEqual([]);
    });
  }
  it("zh has no kana, ja is not all Han", () => {
    expect(Object.entries(flat(read("zh"))).filter(([, x]) => /[\u3040-\u30ff]/.test(x))).toEqual([]);
    expect(Object.values(flat(read("ja"))).some((x) => /[\u3040-\u30ff]/.test(x))).toBe(true);
  });

  it("has what the page asks for", () => {
    const missing: string[] = [];
    const look = (dir: string) => {
      for (const entry of readdirSync(dir, { withFileTypes: true })) {
        const path = join(dir, entry.name);
        if (entry.isDirectory()) look(path);
        else if (/\.(svelte|ts)$/.test(entry.name)) {
          const text = readFileSync(path, "utf8");
          // t("a.b"), and keys that travel as text: "messages.x", "corrections.x" ...
          for (const m of text.matchAll(/(?:\bt\(\s*|\(\s*"(?:info|warning|error)",\s*|key:\s*|undoable\(\s*|, ")"?([a-z]+\.[a-z_0-9.]+)"/g))
            if (!(m[1]! in english)) missing.push(`${entry.name}: ${m[1]}`);
          // t(`a.b_${x}`): some word begins like that
          for (const m of text.matchAll(/\bt\(`([a-z]+\.[a-z_0-9]*)\$\{/g))
            if (!Object.keys(english).some((k) => k.startsWith(m[1]!))) missing.push(`${entry.name}: ${m[1]}…`);
        }
      }
    };
    look(join(__dirname, "../../src"));
    expect(missing.filter((m) => !m.includes("acestep."))).toEqual([]);
  });
});
