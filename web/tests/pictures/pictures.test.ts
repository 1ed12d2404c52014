// Pictures of the studio for the README. The music in them is the conservatory's: pieces that the miniature model repaints a
// little, so that what is seen are waveforms and spectrograms of music.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { by, close, folder, initialise, leave, open, settings, visit } from "../browser/studio";

const root = join(__dirname, "../../..");
const out = join(root, "docs/pictures");
const MOST = 150_000; // bytes of a picture
const TITLES = ["Harbour lights", "Second wind", "Paper moon"];

beforeAll(open);
afterAll(close);

/** What the page shows now, as a small WebP file. */
async function shoot(page: Page, name: string): Promise<void> {
  await page.waitForTimeout(400);
  const png = (await page.screenshot({ scale: "css" })).toString("base64");
  const blank = await page.context().newPage();
  const webp = await blank.evaluate(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d")!.drawImage(image, 0, 0);
    return canvas.toDataURL("image/webp", 0.85).split(",")[1]!;
  }, png);
  await blank.close();
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, `${name}.webp`), Buffer.from(webp, "base64"));
  expect(statSync(join(out, `${name}.webp`)).size).toBeLessThan(MOST);
}

/** Three pieces of the conservatory, as songs of this studio. */
async function makeSongs(page: Page): Promise<void> {
  const pieces = join(folder, "pieces");
  const program = process.env.CONSERVATORY ?? join(root, "build/release/conservatory");
  const made = spawnSync(program, ["--seed", "11", "--count", "3", "--seconds", "20", "-o", pieces], { encoding: "utf8" });
  if (made.status !== 0) throw new Error(made.stderr || String(made.error));
  const waves = readdirSync(pieces)
    .filter((f) => f.endsWith(".wav"))
    .sort();
  for (const [i, wave] of waves.entries()) {
    const about = JSON.parse(readFileSync(join(pieces, wave.replace(".wav", ".json")), "utf8")) as Record<string, unknown>;
    const said = { caption: about.caption, lyrics: about.lyrics, bpm: about.bpm, keyscale: about.keyscale, timesignature: String(about.timesignature) };
    await page.evaluate(
      async ([bytes, said, title, star]) => {
        const post = async (path: string, body: BodyInit, type?: string) =>
          ((await (await fetch(path, { method: "POST", body, ...(type ? { headers: { "Content-Type": type } } : {}) })).json()) as { data: { id: string } }).data;
        const data = new FormData();
        data.append("file", new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], "piece.wav", { type: "audio/wav" }));
        const upload = await post("v1/uploads", data);
        const request = { task_type: "repaint", src_audio: `upload:${upload.id}`, repainting_start: 9, repainting_end: 10, inference_steps: 1, batch_size: 1, ...said };
        const song = await post("v1/songs", JSON.stringify({ request, note: {} }), "application/json");
        for (;;) {
          const job = ((await (await fetch(`v1/jobs/${song.id}`)).json()) as { data: { state: string } }).data;
          if (job.state === "succeeded") break;
          if (job.state === "failed") throw new Error(JSON.stringify(job));
          await new Promise((r) => setTimeout(r, 500));
        }
        const words = { title, favourite: star, tags: star ? ["album", "evening"] : ["sketch"] };
        await post(`v1/jobs/${song.id}/samples/0`, JSON.stringify(words), "application/json");
      },
      [readFileSync(join(pieces, wave)).toString("base64"), said, TITLES[i]!, i !== 1] as const,
    );
  }
}

test("the studio, its library, and a repaint on a phone", async () => {
  let v = await visit({ width: 1440, height: 900, dark: true });
  await initialise(v.page, "turbo");
  await settings(v.page, false);
  await makeSongs(v.page);
  await v.page.reload();
  await by(v.page, "player_1").waitFor();
  await by(v.page, "captions").fill("Bossa nova at dusk: nylon guitar, brushed drums, a warm upright bass, soft female voice close to the microphone");
  await by(v.page, "lyrics").fill("[Verse]\nLanterns on the water, one by one\nEvery boat a story just begun\n\n[Chorus]\nStay a little longer, let it shine");
  await by(v.page, "spectrogram_1").click();
  await expect.poll(() => by(v.page, "player_1").locator("canvas").getAttribute("data-spectrum"), { timeout: 60_000 }).not.toBeNull();
  await by(v.page, "player_1_play").click();
  await v.page.waitForTimeout(4000);
  await by(v.page, "dock_play").click();
  await shoot(v.page, "studio");
  await leave(v);

  v = await visit({ width: 1440, height: 900 });
  await by(v.page, "tab_library").click();
  await by(v.page, "library_play").nth(1).click();
  await v.page.waitForTimeout(2500);
  await by(v.page, "dock_play").click();
  await shoot(v.page, "library");
  await leave(v);

  v = await visit({ width: 390, height: 844 });
  await by(v.page, "player_1").waitFor();
  await by(v.page, "send_to_src_1_menu").click();
  await by(v.page, "send_to_repaint_1").click();
  await by(v.page, "repainting_start").fill("6");
  await by(v.page, "repainting_end").fill("13.5");
  await by(v.page, "repainting_end").press("Tab");
  await by(v.page, "toast").getByLabel("Dismiss").first().click();
  await by(v.page, "src_audio").scrollIntoViewIfNeeded();
  await by(v.page, "repaint_timeline").evaluate((e) => e.scrollIntoView({ block: "center" }));
  await shoot(v.page, "phone");
  await leave(v);
});
