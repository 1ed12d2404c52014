// From an empty studio to songs that play: what a musician does on the first evening.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { begin, by, close, fill, finished, folder, initialise, lengthy, mode, openWith, press, quick, section, sentTo, serve, serverPort, settings, stop, told, tone, type View, visit } from "./studio";

const CARD = { MAX_CUDA_VRAM: "80" }; // a batch may have eight songs
let v: View;
beforeAll(async () => {
  await openWith([], CARD);
  v = await visit();
});
afterAll(close);

const where = (p: Page) => by(p, "batch_indicator").textContent();
const undo = (p: Page, words: string) => by(p, "toast").filter({ hasText: words }).last().getByText("Undo").click();
/** The job whose batch is shown, as the server knows it. */
const shown = (p: Page) =>
  p.evaluate(async () => {
    const text = document.querySelector("[data-testid=batch_indicator]")!.textContent!;
    const n = Number(/\d+/.exec(text)![0]);
    const all = (await (await fetch("/v1/batches?limit=60")).json()).data.batches.reverse();
    return (await (await fetch(`/v1/jobs/${all[n - 1].id}`)).json()).data;
  });

test("a first visitor finds the way: settings open, Generate says what is missing", async () => {
  const { page, trouble } = v;
  await expect.poll(() => by(page, "health_dot").getAttribute("data-state")).toBe("off");
  expect(await by(page, "settings_accordion").getAttribute("open")).not.toBeNull();
  expect(await by(page, "generate_btn").getAttribute("aria-disabled")).toBe("true");
  await press(page, "generate_btn");
  expect(await page.locator("#generate-reason").textContent()).toContain("Initialize Service");
  for (const n of [1, 4, 5, 8, 2]) {
    await by(page, "batch_size").fill(String(n));
    await by(page, "batch_size").press("Tab");
    expect([n, await page.locator("article[data-testid^=card_]").count()]).toEqual([n, n]);
  }
  expect(trouble).toEqual([]);
});

test("Initialize Service loads the models and says which limits hold", async () => {
  const { page } = v;
  // Held while one looks at it.
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/v1/studio/init", async (r) => (await held, r.continue()));
  const done = initialise(page, "turbo");
  await expect.poll(() => by(page, "init_btn").getAttribute("aria-busy")).toBe("true");
  expect(await by(page, "init_status").textContent()).toContain("Loading models");
  expect(await by(page, "config_path").isDisabled()).toBe(true);
  release();
  await done;
  await page.unroute("**/v1/studio/init");
  await settings(page);
  expect(await by(page, "service_config").getAttribute("open")).toBeNull();
  await section(page, "service_config");
  const status = (await by(page, "init_status").textContent()) ?? "";
  expect(status).toContain("unlimited");
  expect(status).toMatch(/600 s.* 8,/);
  expect(status).toContain("acestep-5Hz-lm-0.6B");
  await settings(page, false);
  expect(await by(page, "generate_btn").getAttribute("aria-disabled")).toBeNull();
});

test("a song: caption in, sound out, playable and not silent", async () => {
  const { page, trouble } = v;
  await quick(page, 2);
  await by(page, "captions").fill("jazz trio in a smoky bar");
  // Every value that the bar of progress shows, and whether a song could be played while others were still made.
  await page.evaluate(() => {
    const seen = { bar: [] as number[], early: false };
    Object.assign(window, { seen });
    new MutationObserver(() => {
      const bar = document.querySelector("[data-testid=generate_row] [role=progressbar]");
      if (bar) seen.bar.push(Number(bar.getAttribute("aria-valuenow")));
      const [one, two] = [1, 2].map((n) => document.querySelector(`[data-testid=player_${n}]`));
      seen.early ||= Boolean(bar && one && !two);
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await by(page, "generate_btn").click();
  await by(page, "run_progress").waitFor();
  await finished(page, 2);
  const seen = await page.evaluate(() => (window as unknown as { seen: { bar: number[]; early: boolean } }).seen);
  expect(seen.bar.length).toBeGreaterThan(2);
  expect(seen.bar).toEqual([...seen.bar].sort((a, b) => a - b));
  expect(seen.early).toBe(true);
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
  for (const words of ["Seeds", "acestep-v15-turbo"]) expect(await by(page, "generation_details").textContent()).toContain(words);
  expect(await by(page, "all_files").locator("a[href*='1.mp3']").count()).toBe(1);
  expect(trouble).toEqual([]);
});

test("a reload finds the songs, the draft and Batch Size again", async () => {
  const { page } = v;
  await fill(page, "batch_size", "3");
  for (const m of ["simple", "remix", "repaint", "custom"]) {
    await mode(page, m);
    expect(await by(page, "batch_size").inputValue()).toBe("3");
  }
  await page.reload();
  await by(page, "player_2").waitFor();
  expect(await by(page, "captions").inputValue()).toBe("jazz trio in a smoky bar");
  expect(await by(page, "batch_size").inputValue()).toBe("3");
});

test("Save gives sound and parameters; the JSON brings everything back and makes the same sound", async () => {
  const { page } = v;
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
  expect(await where(page)).toBe("Batch 1 / 2");
  await mode(page, "repaint");
  await mode(page, "custom");
  await fill(page, "audio_duration", "33");
  await by(page, "captions").fill("other words");
  await fill(page, "batch_size", "4");
  await by(page, "restore_params").click();
  // Every value of the form is the one that the batch keeps, but for its seeds, which are now those that were drawn.
  const kept = (await shown(page)).note.form;
  const now = await page.evaluate(() => (dispatchEvent(new Event("pagehide")), JSON.parse(localStorage.getItem("acestep.draft")!).data));
  for (const f of [kept, now]) for (const x of ["seed", "seeds", "use_random_seed"]) delete f.values[x];
  expect(now).toEqual(kept);
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
  expect(await by(page, "captions").inputValue()).toBe("jazz trio in a smoky bar");
  await undo(page, "Sent to Source");
  expect(await by(page, "mode_custom").isChecked()).toBe(true);
  await by(page, "send_to_src_1_menu").click();
  expect(await by(page, "send_to_lego_1").getAttribute("aria-disabled")).toBe("true");
  await by(page, "send_to_reference_1").click();
  expect(await by(page, "reference_audio").locator("canvas").count()).toBe(1);
  await undo(page, "Set as Reference");
  await mode(page, "repaint");
  await by(page, "send_to_src_1").click();
  expect(await by(page, "mode_repaint").isChecked()).toBe(true);
  expect(await by(page, "range_text").textContent()).toContain("0.0–10.0");
});

test("dragging over the picture chooses the part to make anew; a remix of it can be scored by its words alone", async () => {
  const { page } = v;
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
  // The numbers move the picture as well. What is rendered is short: the encoder of even the smallest model takes seconds
  // of processor time for each second of a recording that it has not seen.
  await by(page, "src_audio").getByLabel("Remove this recording").click();
  await by(page, "src_audio_file").setInputFiles(tone(join(folder, "tone.wav"), 2));
  await canvas.waitFor();
  await fill(page, "repainting_start", "0.5");
  await fill(page, "repainting_end", "-1");
  expect(await by(page, "range_text").textContent()).toContain("0.5–2.0");
  await fill(page, "batch_size", "1");
  await by(page, "generate_btn").click();
  await expect.poll(() => where(page)).toBe("Batch 3 / 3");
  await finished(page, 1);
  expect((await shown(page)).result.request).toMatchObject({ task_type: "repaint", repainting_start: 0.5, repainting_end: -1 });
  // There are neither codes nor words here: the card says so, and the batch is as it was.
  await by(page, "score_btn_1").click();
  await expect.poll(() => page.locator("#score_1-problem").count(), { timeout: 60_000 }).toBe(1);
  expect(await by(page, "player_1").count()).toBe(1);
  expect(await by(page, "lrc_btn_1").isDisabled()).toBe(true);
});

test("Auto Score and Auto LRC fill the card's details; edits of timestamps stay, and belong to their song alone", async () => {
  const { page } = v;
  await quick(page, 1);
  await by(page, "captions").fill("a song with words");
  await by(page, "lyrics").fill("[Verse]\nOne line of words\nAnother line of words");
  for (const id of ["think", "auto_score", "auto_lrc"]) await by(page, id).click();
  await by(page, "generate_btn").click();
  await expect.poll(() => where(page)).toBe("Batch 4 / 4");
  await finished(page, 1);
  await by(page, "score_badge_1").waitFor({ timeout: 60_000 });
  expect(await by(page, "score_badge_1").textContent()).toMatch(/^\d\.\d\d$/);
  await section(page, "details_1");
  expect(await by(page, "score_1").inputValue()).toContain("Global score");
  await expect.poll(() => by(page, "codes_1").inputValue()).toMatch(/^<\|audio_code_\d+\|>/);
  const lrc = by(page, "lrc_1");
  const answered = async () => (await lrc.inputValue()) || (await page.locator("#lrc_1-problem").count());
  expect(await answered()).toBeTruthy();
  for (const id of ["think", "auto_score", "auto_lrc"]) await by(page, id).click();
  await lrc.fill("[00:01.00]One line of words\n[00:04.00]Another line of words");
  await expect.poll(() => page.locator(".karaoke button").count()).toBe(2);
  await page.locator(".karaoke button").last().click();
  await expect.poll(() => page.locator(".karaoke .now").textContent()).toBe("Another line of words");
  const download = page.waitForEvent("download");
  await by(page, "save_lrc_1").click();
  expect(readFileSync(await (await download).path(), "utf8")).toContain("[00:04.00]Another");
  await expect.poll(async () => (await shown(page)).samples[0].about.lrc).toContain("[00:04.00]");
  await by(page, "prev_batch").click();
  expect(await page.locator(".karaoke button").count()).toBe(0);
  await page.reload();
  await section(page, "details_1");
  await expect.poll(() => by(page, "lrc_1").inputValue()).toContain("[00:04.00]");
});

test("a cover is scored by its words, asked for by hand; LRC too", async () => {
  const { page } = v;
  await mode(page, "remix");
  await by(page, "captions").fill("in another style");
  await by(page, "lyrics").fill("[Verse]\nOne line of words\nAnother line of words");
  await by(page, "generate_btn").click();
  await expect.poll(() => where(page)).toBe("Batch 5 / 5");
  await finished(page, 1);
  await by(page, "score_btn_1").click();
  await expect.poll(() => by(page, "score_1").inputValue(), { timeout: 60_000 }).toContain("the words are sung, alone");
  expect(await by(page, "score_1").inputValue()).toContain("Words and song");
  expect(await by(page, "score_badge_1").count()).toBe(0);
  await by(page, "lrc_btn_1").click();
  await expect.poll(async () => (await by(page, "lrc_1").inputValue()) || (await page.locator("#lrc_1-problem").count()), { timeout: 60_000 }).toBeTruthy();
});

test("all files of all batches, one by one and as a zip", async () => {
  const { page } = v;
  await section(page, "batch_results");
  expect(await by(page, "all_files").locator("p").count()).toBe(5);
  expect(await by(page, "all_files").locator("li").count()).toBe(6);
  const download = page.waitForEvent("download");
  await by(page, "download_all").click();
  const zip = readFileSync(await (await download).path());
  // Its directory, at its end: names of the files, whose sizes must add up to what is there.
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06"));
  const names: string[] = [];
  let at = zip.readUInt32LE(end + 16);
  for (let i = 0; i < zip.readUInt16LE(end + 10); i++) {
    expect(zip.readUInt32LE(at)).toBe(0x02014b50);
    const length = zip.readUInt16LE(at + 28);
    names.push(zip.toString("utf8", at + 46, at + 46 + length));
    at += 46 + length + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  expect(at).toBe(end);
  expect(names.filter((n) => n.endsWith(".mp3")).length).toBe(6);
  expect(names.filter((n) => n.endsWith(".json")).length).toBe(6);
  for (const n of [1, 2, 3, 4, 5]) expect([n, names.some((x) => x.startsWith(`batch ${n}/`))]).toEqual([n, true]);
});

test("A and B play together, at one loudness, one of them heard", async () => {
  const { page } = v;
  await page.locator("[data-testid=results_section] select").first().selectOption("0");
  expect(await where(page)).toBe("Batch 1 / 5");
  await section(page, "compare");
  const box = by(page, "compare");
  await box.getByLabel("Play").click();
  const state = () => box.locator("audio").evaluateAll((all) => all.map((x) => ({ on: !(x as HTMLAudioElement).paused, volume: (x as HTMLAudioElement).volume })));
  await expect.poll(async () => (await state()).map((x) => x.on)).toEqual([true, true]);
  const heard: number[] = [];
  for (const i of [0, 1]) {
    await box.getByRole("group").getByRole("button").nth(i).click();
    await expect.poll(async () => (await state())[1 - i]!.volume).toBe(0);
    heard.push((await state())[i]!.volume);
  }
  const loud = await page.evaluate(async (id) => {
    const of = async (n: number) => {
      const { peaks } = (await (await fetch(`/v1/jobs/${id}/files/${n}.peaks`)).json()) as { peaks: number[] };
      return Math.sqrt(peaks.reduce((sum, x) => sum + x * x, 0) / peaks.length);
    };
    return [await of(1), await of(2)];
  }, (await shown(page)).id);
  expect(heard[0]! * loud[0]!).toBeCloseTo(heard[1]! * loud[1]!, 1);
  expect(Math.max(...heard)).toBeCloseTo(0.5, 5);
  await box.getByLabel("Pause").click();
  await expect.poll(async () => (await state()).some((x) => x.on)).toBe(false);
});

test("Cancel keeps what is ready, and Generate is there again", async () => {
  const { page } = v;
  await lengthy(page, 60);
  await begin(page);
  await by(page, "player_1").waitFor({ timeout: 60_000 });
  expect(await page.locator("article[data-testid^=card_]").count()).toBe(8);
  await by(page, "cancel_btn").click();
  await by(page, "cancel_btn").waitFor({ state: "detached", timeout: 30_000 });
  expect(await by(page, "player_1").count()).toBe(1);
  expect(await by(page, "player_8").count()).toBe(0);
  expect((await shown(page)).state).toBe("cancelled");
  expect(await by(page, "generate_btn").getAttribute("aria-disabled")).toBeNull();
});

test("a reload in the middle of a run shows the same run, which finishes; another tab sees it too", async () => {
  const { page } = v;
  await lengthy(page, 30);
  await begin(page);
  const before = await where(page);
  const other = await page.context().newPage();
  await other.goto(page.url());
  await page.reload();
  await by(page, "generation_mode").waitFor();
  await expect.poll(() => where(page)).toBe(before);
  await by(page, "cancel_btn").waitFor();
  await finished(page, 8);
  await finished(other, 8);
  // What is done in one tab is seen in the other.
  await lengthy(page, 240);
  await begin(page);
  await expect.poll(() => by(other, "queue_badge").count()).toBe(1);
  await by(page, "cancel_btn").click();
  await by(other, "queue_badge").waitFor({ state: "detached" });
  await other.close();
});

test("a server that dies in the middle goes on with the job when it comes back", async () => {
  const { page } = v;
  await lengthy(page, 30);
  await begin(page);
  const port = serverPort();
  await stop("SIGKILL");
  await page.getByText("Connection lost", { exact: false }).first().waitFor({ timeout: 30_000 });
  await by(page, "captions").fill("written while nobody answers");
  await serve([], port, CARD);
  await finished(page, 8);
  expect(await by(page, "captions").inputValue()).toBe("written while nobody answers");
});

test("AutoGen makes the next batch by itself, with other seeds and without codes, and leaves the form alone", async () => {
  const { page } = v;
  if ((await by(page, "health_dot").getAttribute("data-state")) !== "ready") await initialise(page, "turbo");
  await quick(page, 1);
  await by(page, "captions").fill("again and again");
  await section(page, "codes_hints_group");
  const codes = "<|audio_code_7|>".repeat(10);
  await by(page, "codes_text").fill(codes);
  const sent = sentTo(page, "/v1/songs");
  await by(page, "autogen").click();
  const here = Number(/\/ (\d+)/.exec((await where(page))!)![1]) + 1;
  await by(page, "generate_btn").click();
  await expect.poll(() => where(page), { timeout: 20_000 }).toMatch(`Batch ${here} / `);
  await expect.poll(() => where(page), { timeout: 60_000 }).toBe(`Batch ${here} / ${here + 1}`);
  await by(page, "autogen").click();
  await expect.poll(() => by(page, "next_batch_status").textContent(), { timeout: 60_000 }).toContain("is ready");
  expect(sent.map((x) => [x.background, x.request.audio_codes])).toEqual([[false, codes], [true, undefined]]);
  const seeds = (await shown(page)).result.seeds;
  await by(page, "next_batch").click();
  await by(page, "player_1").waitFor();
  expect((await shown(page)).result.seeds).not.toEqual(seeds);
  expect(await by(page, "captions").inputValue()).toBe("again and again");
  expect(await by(page, "codes_text").inputValue()).toBe(codes);
});

test("a background batch that fails leaves the shown one as it is, and can be tried again", async () => {
  const { page } = v;
  const outputs = join(folder, "data", "outputs");
  const here = Number(/\/ (\d+)/.exec((await where(page))!)![1]) + 1;
  await by(page, "codes_text").fill("");
  await lengthy(page, 20);
  await by(page, "autogen").click();
  await by(page, "generate_btn").click();
  await expect.poll(() => where(page), { timeout: 60_000, interval: 20 }).toBe(`Batch ${here} / ${here + 1}`);
  renameSync(outputs, `${outputs}.away`);
  writeFileSync(outputs, "");
  await by(page, "autogen").click();
  await expect.poll(() => by(page, "next_batch_status").textContent(), { timeout: 60_000 }).toContain("failed");
  rmSync(outputs), renameSync(`${outputs}.away`, outputs);
  expect(existsSync(outputs)).toBe(true);
  expect(await where(page)).toBe(`Batch ${here} / ${here + 1}`);
  expect(await by(page, "player_8").count()).toBe(1);
  expect(await told(page)).toContain("failed");
  await by(page, "retry_batch").click();
  await expect.poll(() => where(page)).toBe(`Batch ${here + 2} / ${here + 2}`);
  await finished(page, 8);
  await quick(page, 1);
});

test("offline, the page stays, says so, and comes back", async () => {
  const { page } = v;
  await page.context().setOffline(true);
  await by(page, "captions").fill("on the train");
  await by(page, "generate_btn").click();
  await expect.poll(() => told(page)).toContain("Connection lost");
  expect(await by(page, "player_1").count()).toBe(1);
  await page.context().setOffline(false);
  const next = Number((await where(page))?.split("/")[1]) + 1;
  await by(page, "generate_btn").click();
  await expect.poll(() => where(page), { timeout: 60_000 }).toBe(`Batch ${next} / ${next}`);
  await finished(page, 1);
  expect(await by(page, "captions").inputValue()).toBe("on the train");
});
