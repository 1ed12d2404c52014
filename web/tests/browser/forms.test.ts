// The form: what each mode shows, what is refused before it is sent, what fills it, in every language, for every reader.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { by, close, fill, folder, initialise, leave, mode, open, section, settings, type View, visit } from "./studio";

beforeAll(open);
afterAll(close);

let v: View;
beforeEach(async () => void (v = await visit()));
afterEach(async () => {
  await leave(v);
});

const seen = async (p: Page, id: string) => (await by(p, id).count()) > 0 && (await by(p, id).first().isVisible());
const sum = async (p: Page) => ((await by(p, "toast").count()) ? await by(p, "toast").last().textContent() : "");

test("a base model offers seven modes, each with its own controls", async () => {
  const { page } = v;
  await initialise(page, "base");
  const ids = ["simple_query", "captions", "lyrics", "src_audio", "track_name", "track_classes", "repainting_start", "think", "codes_hints_group", "batch_size"];
  const rows: Record<string, string> = {
    simple: "S------S-S", // caption and lyrics come with the sample
    custom: "-SS----SSS",
    remix: "-SSS---S-S",
    repaint: "-SSS--SS-S",
    extract: "---SS----S",
    lego: "-SSSS-S--S",
    complete: "-SSS-S-S-S",
  };
  for (const [name, row] of Object.entries(rows)) {
    await mode(page, name);
    let got = "";
    for (const id of ids) got += (await seen(page, id)) ? "S" : "-";
    expect([name, got]).toEqual([name, row]);
  }
  await mode(page, "remix");
  expect(await by(page, "think").getAttribute("aria-disabled")).toBe("true");
  expect(await by(page, "think").isChecked()).toBe(false);
  expect(await seen(page, "strength")).toBe(true);
});

test("guidance is there for base models, and steps go to 200", async () => {
  const { page } = v;
  await settings(page);
  await section(page, "dit_section");
  expect(await seen(page, "guidance_scale")).toBe(true);
  expect(await seen(page, "use_adg")).toBe(true);
  expect(await by(page, "inference_steps").getAttribute("max")).toBe("200");
  expect(await by(page, "inference_steps").inputValue()).toBe("32");
  await settings(page, false);
});

test("a turbo model takes the base modes away, kindly", async () => {
  const { page } = v;
  await mode(page, "lego");
  await initialise(page, "turbo");
  expect(await by(page, "mode_custom").isChecked()).toBe(true);
  expect(await by(page, "mode_lego").isDisabled()).toBe(true);
  await settings(page);
  await section(page, "dit_section");
  expect(await seen(page, "guidance_scale")).toBe(false);
  expect(await by(page, "inference_steps").getAttribute("max")).toBe("20");
  await settings(page, false);
});

test("what cannot work is marked before anything is sent", async () => {
  const { page } = v;
  let sent = 0;
  page.on("request", (r) => r.url().endsWith("/v1/songs") && sent++);
  await mode(page, "remix");
  await by(page, "generate_btn").click();
  expect(await sum(page)).toContain("source audio");
  await mode(page, "custom");
  await section(page, "optional_params");
  await by(page, "bpm_auto").click();
  await fill(page, "bpm", "301");
  await by(page, "generate_btn").click();
  expect(await by(page, "bpm").getAttribute("aria-invalid")).toBe("true");
  await fill(page, "bpm", "29");
  await by(page, "generate_btn").click();
  await by(page, "bpm_auto").click();
  await by(page, "key_auto").click();
  await fill(page, "key_scale", "H moll");
  await by(page, "generate_btn").click();
  expect(await page.getByText("Write a key such as").count()).toBeGreaterThan(0);
  await by(page, "key_auto").click();
  await settings(page);
  await section(page, "dit_section");
  await by(page, "random_seed").click();
  await fill(page, "seed", "1, two");
  await settings(page, false);
  await by(page, "generate_btn").click();
  expect(await sum(page)).toContain("Seeds are whole numbers");
  await settings(page);
  await fill(page, "seed", "-1");
  await by(page, "random_seed").click();
  await settings(page, false);
  expect(sent).toBe(0);
});

test("the dice fill the form; Instrumental keeps the lyrics", async () => {
  const { page } = v;
  await mode(page, "custom");
  await by(page, "caption_dice_btn").click();
  await expect.poll(() => by(page, "captions").inputValue()).not.toBe("");
  await section(page, "optional_params");
  expect(await by(page, "bpm_auto").isChecked()).toBe(false);
  await by(page, "lyrics").fill("my own words");
  await by(page, "instrumental").click();
  expect(await by(page, "lyrics").inputValue()).toBe("[Instrumental]");
  await by(page, "instrumental").click();
  expect(await by(page, "lyrics").inputValue()).toBe("my own words");
  await mode(page, "simple");
  await by(page, "random_desc_btn").click();
  await expect.poll(() => by(page, "simple_query").inputValue()).not.toBe("");
});

test("Create Sample writes a song's words, Format betters them, codes are made and read", async () => {
  const { page } = v;
  await mode(page, "simple");
  expect(await seen(page, "generate_btn")).toBe(false);
  await by(page, "simple_query").fill("a waltz about rain");
  await by(page, "create_sample_btn").click();
  await by(page, "captions").waitFor({ timeout: 90_000 });
  expect(await seen(page, "generate_btn")).toBe(true);
  await mode(page, "custom");
  await by(page, "captions").fill("a waltz");
  await by(page, "format_btn").click();
  await expect.poll(() => by(page, "captions").inputValue(), { timeout: 90_000 }).not.toBe("a waltz");
});

test("an unreadable recording is refused in words", async () => {
  const { page } = v;
  await mode(page, "remix");
  const bad = join(folder, "bad.wav");
  writeFileSync(bad, "this is no sound");
  await by(page, "src_audio_file").setInputFiles(bad);
  await page.getByText("could not be read").first().waitFor();
});

test("a recording becomes codes", async () => {
  const { page } = v;
  const wav = Buffer.alloc(44 + 48000 * 2 * 2 * 3);
  wav.write("RIFF", 0), wav.writeUInt32LE(wav.length - 8, 4), wav.write("WAVEfmt ", 8), wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20), wav.writeUInt16LE(2, 22), wav.writeUInt32LE(48000, 24), wav.writeUInt32LE(192000, 28);
  wav.writeUInt16LE(4, 32), wav.writeUInt16LE(16, 34), wav.write("data", 36), wav.writeUInt32LE(wav.length - 44, 40);
  for (let i = 0; i < 48000 * 3; i++)
    for (const c of [0, 1]) wav.writeInt16LE(Math.round(9000 * Math.sin((i * (220 + 110 * c) * 2 * Math.PI) / 48000)), 44 + 4 * i + 2 * c);
  const good = join(folder, "tone.wav");
  writeFileSync(good, wav);
  await mode(page, "remix");
  await by(page, "src_audio_file").setInputFiles(good);
  await by(page, "src_audio").locator("canvas").waitFor();
  expect(await by(page, "src_audio").textContent()).toContain("48 kHz");
  await by(page, "src_convert_btn").click();
  await page.locator("#src_codes").waitFor({ timeout: 60_000 });
  expect(await page.locator("#src_codes").inputValue()).toMatch(/<\|audio_code_\d+\|>/);
});

test("the language changes everything at once, without raw keys", async () => {
  const { page } = v;
  for (const [code, word] of [["zh", "生成音乐"], ["ja", "音楽を生成"], ["en", "Generate Music"]] as const) {
    await by(page, "language_menu").selectOption(code);
    await expect.poll(() => by(page, "generate_btn").textContent()).toContain(word);
    expect(await page.evaluate(() => document.documentElement.lang)).toBe(code);
    const text = await page.locator("body").innerText();
    expect(text).not.toMatch(/\b(generation|training|messages|results|settings|param|info|service)\.[a-z_]+/);
  }
});

test("no page is wider than the screen, down to 320 pixels", async () => {
  const { page } = v;
  for (const width of [320, 390, 820, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    for (const m of ["simple", "custom", "remix", "repaint"]) {
      await mode(page, m);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect([width, m, over <= 0]).toEqual([width, m, true]);
    }
  }
});

test("Ctrl+Enter makes music, ? shows the keys, Esc closes", async () => {
  const { page } = v;
  await page.locator("body").press("?");
  await page.getByRole("dialog").waitFor();
  expect(await page.getByRole("dialog").textContent()).toContain("Ctrl+Enter");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await mode(page, "repaint");
  await by(page, "src_audio").getByLabel("Remove this recording").click({ timeout: 2000 }).catch(() => undefined);
  await by(page, "captions").press("Control+Enter");
  await expect.poll(() => sum(page)).toContain("source audio");
});

test("axe finds nothing serious: every tab, both themes, three widths", async () => {
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const found: string[] = [];
  for (const [width, dark] of [[1280, false], [800, true], [360, false]] as const) {
    const w = await visit({ width, dark });
    await w.page.evaluate(axe);
    for (const tab of ["generation", "training", "library", "models", "settings"]) {
      if (tab === "settings") {
        await by(w.page, "tab_generation").click();
        await settings(w.page);
        for (const s of ["service_config", "lora_accordion", "dit_section", "lm_section", "output_section"]) await section(w.page, s);
      } else await by(w.page, `tab_${tab}`).click();
      await w.page.waitForTimeout(150);
      const result = await w.page.evaluate(
        () =>
          (window as unknown as { axe: { run: (o: unknown) => Promise<{ violations: { id: string; impact: string; nodes: { target: string[]; failureSummary: string }[] }[] }> } }).axe.run({
            resultTypes: ["violations"],
          }),
      );
      for (const x of result.violations)
        if (x.impact === "serious" || x.impact === "critical")
          for (const n of x.nodes.slice(0, 3)) found.push(`${width} ${dark ? "dark" : "light"} ${tab}: ${x.id} ${n.target.join(" ")} ${n.failureSummary.split("\n")[1] ?? ""}`);
    }
    await w.page.context().close();
  }
  expect(found).toEqual([]);
});
