// Who may use the studio, what each visitor sees, what may be brought along, and where models come from.
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Hub, openHub } from "./hub";
import { begin, by, close, finished, folder, initialise, lengthy, mode, models, openWith, press, quick, section, serve, stop, tone, url, visit } from "./studio";

let hub: Hub;
beforeAll(async () => {
  hub = await openHub();
  await openWith(["--auth-username", "ada", "--auth-password", "open sesame", "--max-upload-mb", "20"]);
});
afterAll(async () => {
  await close();
  hub.close();
});

const ROUTES = [
  "/v1/jobs", "/v1/batches", "/v1/zip", "/v1/uploads", "/v1/presets", "/v1/catalog", "/v1/lora/list", "/v1/training/status",
  "/v1/dataset/samples", "/v1/events", "/v1/stats", "/v1/audio?path=x", "/v1/jobs/x/files/1.mp3",
];
const statuses = () => Promise.all(ROUTES.map(async (path) => [path, (await fetch(url + path)).status]));
const closed = ROUTES.map((path) => [path, 401]);

test("with a name and a password everything asks for them, and the page lets in who knows them", async () => {
  const { page } = await visit({ closed: true });
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  expect(await statuses()).toEqual(closed);
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("guess");
  await page.getByLabel("Password").press("Enter");
  await page.getByRole("alert").waitFor();
  expect(await by(page, "generation_mode").count()).toBe(0);
  await page.getByLabel("Password").fill("open sesame");
  await page.getByRole("button", { name: "Enter" }).click();
  await by(page, "generation_mode").waitFor();
  await page.reload();
  await by(page, "generation_mode").waitFor();
  await page.context().close();
});

test("with a key alone the page asks for the key", async () => {
  await stop();
  await serve(["--api-key", "k-123", "--max-upload-mb", "20"]);
  const { page } = await visit({ closed: true });
  expect(await statuses()).toEqual(closed);
  await page.getByLabel("Key of this server").fill("k-123");
  await page.keyboard.press("Enter");
  await by(page, "generation_mode").waitFor();
  await page.context().close();
});

test("what is too large, too long or no JSON is refused in words, and what was there stays", async () => {
  await stop();
  await serve(["--max-upload-mb", "20"], "0", { HF_ENDPOINT: hub.url, ACESTEP_DOWNLOAD_SOURCE: "huggingface" });
  const { page } = await visit();
  await mode(page, "remix");
  const source = by(page, "src_audio");
  await by(page, "src_audio_file").setInputFiles(tone(join(folder, "tone.wav"), 1));
  await source.locator("canvas").waitFor();
  await source.getByLabel("Remove this recording").click();
  const large = join(folder, "large.wav");
  writeFileSync(large, Buffer.alloc(21 << 20));
  await by(page, "src_audio_file").setInputFiles(large);
  await by(page, "toast").filter({ hasText: "too large; the limit is" }).waitFor();
  // Half an hour and a minute, in eight bits.
  const n = 31 * 60 * 8000;
  const wav = Buffer.alloc(44 + n, 128);
  wav.write("RIFF", 0), wav.writeUInt32LE(wav.length - 8, 4), wav.write("WAVEfmt ", 8), wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20), wav.writeUInt16LE(1, 22), wav.writeUInt32LE(8000, 24), wav.writeUInt32LE(8000, 28);
  wav.writeUInt16LE(1, 32), wav.writeUInt16LE(8, 34), wav.write("data", 36), wav.writeUInt32LE(n, 40);
  for (let i = 44; i < wav.length; i += 8) wav[i] = 200;
  writeFileSync(join(folder, "long.wav"), wav);
  await by(page, "src_audio_file").setInputFiles(join(folder, "long.wav"));
  await by(page, "toast").filter({ hasText: "This recording is too long" }).waitFor({ timeout: 30_000 });
  expect(await source.locator("canvas").count()).toBe(0);
  await by(page, "captions").fill("stays");
  for (const [name, text] of [["broken.json", "{"], ["list.json", "[1]"]] as const) {
    writeFileSync(join(folder, name), text);
    await by(page, "load_json_btn").setInputFiles(join(folder, name));
    await by(page, "toast").filter({ hasText: `${name} is not a usable settings file` }).waitFor();
  }
  expect(await by(page, "captions").inputValue()).toBe("stays");
  await page.context().close();
});

test("two visitors take turns; each finds his own songs alone", async () => {
  const [a, b] = [(await visit()).page, (await visit()).page];
  await initialise(a, "turbo", false);
  for (const p of [a, b]) {
    await quick(p, 1);
    await section(p, "codes_hints_group");
    await by(p, "codes_text").fill("<|audio_code_7|>".repeat(10));
  }
  await by(a, "captions").fill("hers");
  await by(b, "captions").fill("his");
  await begin(a);
  await begin(b);
  await Promise.all([finished(a), finished(b)]);
  for (const [p, name] of [[a, "hers"], [b, "his"]] as const) {
    expect(await by(p, "batch_indicator").textContent()).toBe("Batch 1 / 1");
    expect(await by(p, "card_1").textContent()).toContain(name);
  }
  const song = (await a.locator("[data-testid=player_1] audio").getAttribute("src"))!;
  expect(await a.evaluate(async (s) => (await fetch(s)).status, song)).toBe(200);
  expect(await b.evaluate(async (s) => (await fetch(s)).status, song)).toBe(404);
  await by(b, "codes_text").fill(""); // which would say how long it is
  await lengthy(b, 240);
  await press(b, "generate_btn");
  await by(b, "cancel_btn").waitFor();
  expect(await by(a, "cancel_btn").count()).toBe(0);
  await by(b, "cancel_btn").click();
  await by(b, "cancel_btn").waitFor({ state: "detached", timeout: 30_000 });
  await Promise.all([a.context().close(), b.context().close()]);
});

test("models are fetched from a hub: seen on the way, stopped, gone on with, there, deleted", async () => {
  rmSync(join(models, "vae"), { recursive: true });
  const { page } = await visit();
  await by(page, "tab_models").click();
  const entry = by(page, "models_page").locator("article", { has: page.getByRole("heading", { name: /^vae/ }) });
  await entry.waitFor();
  expect(await entry.textContent()).toContain("0.3 GB");
  hub.hold = true;
  await entry.getByRole("button", { name: "Download" }).click();
  await entry.locator("progress").waitFor();
  await expect.poll(hub.waiting).toBe(1);
  await entry.getByRole("button", { name: "Cancel" }).click();
  await entry.getByRole("button", { name: "Go on" }).waitFor();
  hub.hold = false;
  hub.release();
  await entry.getByRole("button", { name: "Go on" }).click();
  await entry.getByText("installed").waitFor({ timeout: 20_000 });
  await by(page, "toast").filter({ hasText: "vae is installed" }).waitFor();
  expect(await entry.locator("progress").count()).toBe(0);
  expect(existsSync(join(models, "vae", "config.json"))).toBe(true);
  // One that is in use stays; the song of the visitors before was made with it.
  await entry.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("alert").filter({ hasText: "vae" }).first().waitFor();
  await page.evaluate(() => fetch("/v1/studio/unload", { method: "POST", body: "{}" }));
  await expect.poll(() => by(page, "health_dot").getAttribute("data-state")).toBe("off");
  await entry.getByRole("button", { name: "Delete" }).click();
  await entry.getByRole("button", { name: "Download" }).waitFor();
  expect(existsSync(join(models, "vae"))).toBe(false);
  await page.context().close();
});
