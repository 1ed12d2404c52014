// From an empty studio to songs that play: what a musician does on the first evening.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { by, close, fill, finished, folder, initialise, leave, mode, open, quick, section, serve, serverPort, settings, stop, type View, visit } from "./studio";

beforeAll(open);
afterAll(close);

let v: View;
beforeEach(async () => void (v = await visit()));
afterEach(async () => {
  await leave(v);
});

test("a first visitor finds the way: settings open, Generate says what is missing", async () => {
  const { page, trouble } = v;
  await expect.poll(() => by(page, "health_dot").getAttribute("data-state")).toBe("off");
  expect(await by(page, "settings_accordion").getAttribute("open")).not.toBeNull();
  expect(await by(page, "generate_btn").getAttribute("aria-disabled")).toBe("true");
  await by(page, "generate_btn").click({ force: true });
  expect(await page.locator("#generate-reason").textContent()).toContain("Initialize Service");
  expect(trouble).toEqual([]);
});

test("the page is fast and does not jump", async () => {
  const { page } = v;
  const seen = await page.evaluate(
    () =>
      new Promise<{ paint: number; shift: number }>((resolve) => {
        let shift = 0;
        new PerformanceObserver((list) => {
          for (const e of list.getEntries() as unknown as { value: number; hadRecentInput: boolean }[])
            if (!e.hadRecentInput) shift += e.value;
        }).observe({ type: "layout-shift", buffered: true });
        setTimeout(() => resolve({ paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0, shift }), 500);
      }),
  );
  console.log(`first contentful paint ${seen.paint.toFixed(0)} ms, layout shift ${seen.shift.toFixed(4)}`);
  expect(seen.shift).toBeLessThan(0.02);
});

test("Initialize Service loads the models and says which limits hold", async () => {
  const { page } = v;
  await initialise(page, "turbo");
  await settings(page);
  await section(page, "service_config");
  const status = (await by(page, "init_status").textContent()) ?? "";
  expect(status).toMatch(/tier\d|unlimited/);
  expect(status).toMatch(/\d+ s/);
  expect(status).toContain("acestep-5Hz-lm-0.6B");
  await settings(page, false);
  expect(await by(page, "generate_btn").getAttribute("aria-disabled")).toBeNull();
});

test("a song: caption in, sound out, playable and not silent", async () => {
  const { page, trouble } = v;
  await quick(page, 2);
  await by(page, "captions").fill("jazz trio in a smoky bar");
  await by(page, "generate_btn").click();
  await by(page, "run_progress").waitFor();
  await finished(page, 2);
  expect(await by(page, "card_3").count()).toBe(0);
  const heard = await page.evaluate(async () => {
    const sound = document.querySelector<HTMLAudioElement>("[data-testid=player_1] audio")!;
    const bytes = await (await fetch(sound.src)).arrayBuffer();
    const buffer = await new OfflineAudioContext(2, 48000, 48000).decodeAudioData(bytes);
    const x = buffer.getChannelData(0);
    return { seconds: buffer.duration, loud: Math.sqrt(x.reduce((a, b) => a + b * b, 0) / x.length) };
  });
  expect(heard.seconds).toBeGreaterThan(9.5);
  expect(heard.loud).toBeGreaterThan(0.001);
  await by(page, "player_1_play").click();
  await expect.poll(() => by(page, "player_1").getAttribute("data-playing")).toBe("true");
  await by(page, "player_2_play").click();
  await expect.poll(() => by(page, "player_1").getAttribute("data-playing")).toBe("false");
  expect(await by(page, "generation_details").textContent()).toContain("Seeds");
  expect(await by(page, "all_files").locator("a[href*='1.mp3']").count()).toBe(1);
  expect(trouble).toEqual([]);
});

test("a reload finds the songs, the draft and Batch Size again", async () => {
  const { page } = v;
  await by(page, "player_2").waitFor();
  expect(await by(page, "captions").inputValue()).toBe("jazz trio in a smoky bar");
  await fill(page, "batch_size", "3");
  for (const m of ["simple", "remix", "repaint", "custom"]) {
    await mode(page, m);
    expect(await by(page, "batch_size").inputValue()).toBe("3");
  }
  await page.waitForTimeout(700);
  await page.reload();
  await by(page, "generation_mode").waitFor();
  expect(await by(page, "batch_size").inputValue()).toBe("3");
});

test("Save gives sound and parameters; the JSON brings everything back and makes the same sound", async () => {
  const { page } = v;
  await by(page, "player_1").waitFor();
  const downloads: string[] = [];
  page.on("download", (d) => downloads.push(d.suggestedFilename()));
  await by(page, "save_1").click();
  await expect.poll(() => downloads.length, { timeout: 10_000 }).toBe(2);
  expect(downloads.some((n) => n.endsWith(".json"))).toBe(true);
  const source = (await page.locator("[data-testid=player_1] audio").getAttribute("src"))!;
  const saved = await page.evaluate(async (s) => await (await fetch(s.replace(/1\.mp3$/, "1.json"))).text(), source);
  const file = join(folder, "saved.json");
  writeFileSync(file, saved);
  await by(page, "captions").fill("something else");
  await by(page, "load_json_btn").setInputFiles(file);
  await expect.poll(() => by(page, "captions").inputValue()).toBe("jazz trio in a smoky bar");
  await fill(page, "batch_size", "1");
  await by(page, "generate_btn").click();
  await expect.poll(() => by(page, "batch_indicator").textContent()).toBe("Batch 2 / 2");
  await finished(page, 1);
  const again = (await page.locator("[data-testid=player_1] audio").getAttribute("src"))!;
  expect(again).not.toBe(source);
  const same = await page.evaluate(
    async ([a, b]) => {
      const hash = async (u: string) =>
        [...new Uint8Array(await crypto.subtle.digest("SHA-256", await (await fetch(u)).arrayBuffer()))].join();
      return (await hash(a!)) === (await hash(b!));
    },
    [source, again],
  );
  expect(same).toBe(true);
  expect(readFileSync(file, "utf8")).toContain("jazz trio");
});

test("Previous and Next show each batch with its own sound", async () => {
  const { page } = v;
  await expect.poll(() => by(page, "batch_indicator").textContent()).toBe("Batch 2 / 2");
  const second = await page.locator("[data-testid=player_1] audio").getAttribute("src");
  await by(page, "prev_batch").click();
  expect(await by(page, "batch_indicator").textContent()).toBe("Batch 1 / 2");
  expect(await page.locator("[data-testid=player_1] audio").getAttribute("src")).not.toBe(second);
  expect(await by(page, "card_2").count()).toBe(1);
  await by(page, "next_batch").click();
  expect(await by(page, "card_2").count()).toBe(0);
  expect(await by(page, "next_batch").isDisabled()).toBe(true);
});

test("Apply These Settings to UI brings back what a batch was made with", async () => {
  const { page } = v;
  await by(page, "prev_batch").click();
  await by(page, "captions").fill("other words");
  await fill(page, "batch_size", "4");
  await by(page, "restore_params").click();
  expect(await by(page, "captions").inputValue()).toBe("jazz trio in a smoky bar");
  expect(await by(page, "batch_size").inputValue()).toBe("2");
  await settings(page);
  await section(page, "dit_section");
  expect(await by(page, "random_seed").isChecked()).toBe(false);
  expect(await by(page, "inference_steps").inputValue()).toBe("1");
  expect((await by(page, "seed").inputValue()).split(",").length).toBe(2);
  await by(page, "random_seed").click();
  await settings(page, false);
});

test("Send To Src goes to Remix with sound and words; undo takes it back", async () => {
  const { page } = v;
  await mode(page, "custom");
  await by(page, "send_to_src_1").click();
  expect(await by(page, "mode_remix").isChecked()).toBe(true);
  expect(await by(page, "src_audio").locator("canvas").count()).toBe(1);
  await by(page, "toast").getByText("Undo").first().click();
  await mode(page, "repaint");
  await by(page, "send_to_src_1").click();
  expect(await by(page, "mode_repaint").isChecked()).toBe(true);
});

test("dragging over the picture chooses the part to make anew", async () => {
  const { page } = v;
  expect(await by(page, "mode_repaint").isChecked()).toBe(true);
  const canvas = by(page, "src_audio").locator("canvas");
  await canvas.scrollIntoViewIfNeeded();
  const box = (await canvas.boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.3, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 30, { steps: 6 });
  await page.mouse.up();
  const [start, end] = [Number(await by(page, "repainting_start").inputValue()), Number(await by(page, "repainting_end").inputValue())];
  expect(start).toBeGreaterThan(2);
  expect(start).toBeLessThan(4);
  expect(end).toBeGreaterThan(5);
  expect(end).toBeLessThan(7);
  expect(await by(page, "range_text").textContent()).toContain(`${start.toFixed(1)}–${end.toFixed(1)}`);
  await fill(page, "batch_size", "1");
  await by(page, "generate_btn").click();
  await expect.poll(() => by(page, "batch_indicator").textContent()).toBe("Batch 3 / 3");
  await finished(page, 1);
});

test("Score and LRC fill the card's details; edits of timestamps stay", async () => {
  const { page } = v;
  await quick(page, 1);
  await by(page, "captions").fill("a song with words");
  await by(page, "lyrics").fill("[Verse]\nOne line of words\nAnother line of words");
  await by(page, "generate_btn").click();
  await expect.poll(() => by(page, "batch_indicator").textContent()).toBe("Batch 4 / 4");
  await finished(page, 1);
  await by(page, "lrc_btn_1").click();
  const lrc = by(page, "lrc_1");
  await expect.poll(async () => (await lrc.inputValue()) || (await page.locator("#lrc_1-problem").count()), { timeout: 60_000 }).toBeTruthy();
  await lrc.fill("[00:01.00]One line of words\n[00:04.00]Another line of words");
  await expect.poll(() => page.locator(".karaoke button").count()).toBe(2);
  await by(page, "score_btn_1").click();
  await expect.poll(async () => (await by(page, "score_1").inputValue()) || (await page.locator("#score_1-problem").count()), { timeout: 60_000 }).toBeTruthy();
  await page.waitForTimeout(600);
  await page.reload();
  await section(page, "details_1");
  await expect.poll(() => by(page, "lrc_1").inputValue()).toContain("[00:04.00]");
});

test("Cancel stops a run at once, and Generate is there again", async () => {
  const { page } = v;
  await quick(page, 8);
  await by(page, "generate_btn").click();
  await by(page, "cancel_btn").click();
  await by(page, "cancel_btn").waitFor({ state: "detached", timeout: 30_000 });
  expect(await by(page, "generate_btn").getAttribute("aria-disabled")).toBeNull();
  await fill(page, "batch_size", "1");
});

test("a reload in the middle of a run shows the same run, which finishes; another tab sees it too", async () => {
  const { page } = v;
  await quick(page, 4);
  await by(page, "generate_btn").click();
  await by(page, "run_progress").waitFor();
  const before = await by(page, "batch_indicator").textContent();
  const other = await page.context().newPage();
  await other.goto(page.url());
  await page.reload();
  await by(page, "generation_mode").waitFor();
  expect(await by(page, "batch_indicator").textContent()).toBe(before);
  await finished(page, 4);
  await finished(other, 4);
  await other.close();
});

test("a server that dies in the middle goes on with the job when it comes back", async () => {
  const { page } = v;
  await quick(page, 4);
  await by(page, "generate_btn").click();
  await by(page, "run_progress").waitFor();
  const port = serverPort();
  await stop("SIGKILL");
  await page.getByText("Connection lost", { exact: false }).first().waitFor({ timeout: 30_000 });
  await serve([], port);
  await finished(page, 4);
});

test("AutoGen makes the next batch by itself and leaves the form alone", async () => {
  const { page } = v;
  if ((await by(page, "health_dot").getAttribute("data-state")) !== "ready") await initialise(page, "turbo");
  await quick(page, 1);
  await by(page, "captions").fill("again and again");
  await by(page, "autogen").click();
  const total = Number(/\/ (\d+)/.exec((await by(page, "batch_indicator").textContent()) ?? "")?.[1]);
  const here = total + 1;
  await by(page, "generate_btn").click();
  await expect.poll(() => by(page, "batch_indicator").textContent(), { timeout: 20_000 }).toMatch(`Batch ${here} / `);
  await expect.poll(() => by(page, "batch_indicator").textContent(), { timeout: 60_000 }).toBe(`Batch ${here} / ${here + 1}`);
  await by(page, "autogen").click();
  await expect.poll(() => by(page, "next_batch_status").textContent(), { timeout: 60_000 }).toContain("is ready");
  await by(page, "next_batch").click();
  await by(page, "player_1").waitFor();
  expect(await by(page, "captions").inputValue()).toBe("again and again");
});
