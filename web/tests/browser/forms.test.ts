// The form: what each mode shows, what is refused before it is sent, what fills it, in every language, for every reader.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { by, close, fill, folder, initialise, mode, openWith, press, section, sentTo, settings, told, tone, type View, visit } from "./studio";

let v: View;
beforeAll(async () => {
  await openWith([], { MAX_CUDA_VRAM: "80" });
  v = await visit();
});
afterAll(close);

const seen = async (p: Page, id: string) => (await by(p, id).count()) > 0 && (await by(p, id).first().isVisible());
const fields = async (p: Page, ...ids: string[]) => Promise.all(ids.map((id) => by(p, id).inputValue()));
/** The draft as the browser keeps it, once it has been written. */
const draft = (p: Page) =>
  p.evaluate(() => {
    dispatchEvent(new Event("pagehide"));
    return JSON.parse(localStorage.getItem("acestep.draft")!).data;
  });

test("without a language model its helpers say so, and change nothing", async () => {
  const { page } = v;
  await initialise(page, "base", false);
  await mode(page, "simple");
  await by(page, "simple_query").fill("a waltz about rain");
  for (const [where, button] of [["simple", "create_sample_btn"], ["custom", "format_btn"], ["custom", "transcribe_btn"]] as const) {
    await mode(page, where);
    if (button === "transcribe_btn") await section(page, "codes_hints_group");
    await press(page, button);
    expect(await told(page)).toContain("needs the 5Hz LM");
  }
  expect(await by(page, "think").getAttribute("aria-disabled")).toBe("true");
  expect(await by(page, "captions").inputValue()).toBe("");
  await mode(page, "simple");
  expect(await seen(page, "generate_btn")).toBe(false);
});

test("a base model offers seven modes, each with its own controls", async () => {
  const { page } = v;
  await initialise(page, "base");
  await by(page, "batch_size").fill("3");
  await by(page, "batch_size").press("Tab");
  const ids = [
    ["simple_query", "create_sample_btn", "captions", "lyrics", "instrumental", "format_btn", "reference_audio", "src_audio"],
    ["codes_hints_group", "track_name", "track_classes", "repainting_start", "repaint_mode", "retake_enabled", "edit_enabled"],
    ["bpm", "think", "autogen", "auto_score", "auto_lrc", "batch_size", "generate_btn", "load_json_btn", "analyze_btn"],
  ].flat();
  // Caption and lyrics come into the simple mode with the sample.
  const rows: Record<string, string> = {
    simple: "SS------" + "-------" + "-SSSSS---",
    custom: "--SSSSS-" + "S----SS" + "SSSSSSSS-",
    remix: "--SSSSSS" + "-----SS" + "SSSSSSSSS",
    repaint: "--SSSSSS" + "---SSS-" + "SSSSSSSSS",
    extract: "-------S" + "-S-----" + "-----SSS-",
    lego: "--SSSSSS" + "-S-S---" + "-----SSS-",
    complete: "--SSSSSS" + "--S----" + "SSSSSSSSS",
  };
  const strength: Record<string, string> = { custom: "LM Codes Strength", remix: "Remix Strength", complete: "Audio Cover Strength" };
  for (const [name, row] of Object.entries(rows)) {
    await mode(page, name);
    for (const s of ["optional_params", "variation_group", "codes_hints_group"]) if (await by(page, s).count()) await section(page, s);
    let got = "";
    for (const id of ids) got += id === "load_json_btn" ? ((await by(page, id).count()) ? "S" : "-") : (await seen(page, id)) ? "S" : "-";
    expect([name, got]).toEqual([name, row]);
    expect([name, (await seen(page, "strength")) ? await page.locator("label[for=f-strength]").textContent() : undefined]).toEqual([name, strength[name]]);
    expect([name, await by(page, "batch_size").inputValue()]).toEqual([name, "3"]);
    const off = name === "remix" || name === "repaint";
    if (await seen(page, "think")) expect([name, await by(page, "think").isChecked()]).toEqual([name, !off]);
    if (off) expect(await by(page, "think").getAttribute("aria-disabled")).toBe("true");
  }
});

test("modes that work on a recording want one; tracks are wanted too; nothing is sent", async () => {
  const { page } = v;
  const songs = sentTo(page, "/v1/songs");
  for (const name of ["remix", "repaint", "extract", "lego", "complete"]) {
    await mode(page, name);
    await by(page, "generate_btn").click();
    expect(await by(page, "generate_row").textContent()).toContain("Add a source audio file first");
  }
  await mode(page, "repaint");
  await by(page, "src_audio_file").setInputFiles(tone(join(folder, "tone.wav"), 2));
  await by(page, "src_audio").locator("canvas").waitFor();
  expect(await by(page, "src_audio").textContent()).toContain("48 kHz");
  for (const [name, words] of [["extract", "Choose a track"], ["complete", "Choose at least one track"]] as const) {
    await mode(page, name);
    await by(page, "generate_btn").click();
    expect(await by(page, "generate_row").textContent()).toContain(words);
  }
  expect(songs).toEqual([]);
});

test("what a mode sends: extract its track, lego a range, complete its tracks, nothing that is hidden", async () => {
  const { page } = v;
  const songs = sentTo(page, "/v1/songs");
  await page.route("**/v1/songs", (r) => r.fulfill({ status: 400, json: { detail: "not now" } }));
  const send = async () => {
    const before = songs.length;
    await by(page, "generate_btn").click();
    await expect.poll(() => songs.length).toBe(before + 1);
    return songs.at(-1)!.request;
  };
  await mode(page, "custom");
  await by(page, "captions").fill("with a guitar");
  await mode(page, "extract");
  await by(page, "track_name").selectOption("drums");
  let r = await send();
  expect(r).toMatchObject({ task_type: "extract", track_name: "drums", batch_size: 3 });
  expect(r.src_audio).toMatch(/^upload:/);
  // The server describes an extraction by its track.
  for (const hidden of ["caption", "thinking", "duration", "bpm", "lyrics", "repainting_start", "audio_codes"]) expect(r[hidden]).toBeUndefined();
  await mode(page, "lego");
  await by(page, "captions").fill("a soft bass");
  await by(page, "track_name").selectOption("bass");
  r = await send();
  expect(r).toMatchObject({ task_type: "lego", track_name: "bass", repainting_start: 0, repainting_end: -1, caption: "a soft bass" });
  await mode(page, "complete");
  await by(page, "captions").fill("a band");
  for (const x of ["drums", "backing_vocals"]) await by(page, `track_${x}`).click();
  r = await send();
  expect(r).toMatchObject({ task_type: "complete", complete_track_classes: ["drums", "backing_vocals"], guidance_scale: 7 });
  await mode(page, "remix");
  await by(page, "captions").fill("another style");
  r = await send();
  expect(r).toMatchObject({ task_type: "cover", audio_cover_strength: 1, cover_noise_strength: 0 });
  expect(r.thinking).toBeUndefined();
  await fill(page, "strength", "0.4");
  await by(page, "no_fsq").click();
  expect(await send()).toMatchObject({ task_type: "cover-nofsq", audio_cover_strength: 0.4 });
  await by(page, "no_fsq").click();
  await page.unroute("**/v1/songs");
});

test("guidance is there for base models, and steps go to 200", async () => {
  const { page } = v;
  await settings(page);
  await section(page, "dit_section");
  expect(await seen(page, "guidance_scale")).toBe(true);
  expect(await seen(page, "use_adg")).toBe(true);
  expect(await by(page, "inference_steps").getAttribute("max")).toBe("200");
  expect(await by(page, "inference_steps").inputValue()).toBe("32");
  await fill(page, "cfg_interval_start", "0.8");
  await fill(page, "cfg_interval_end", "0.2");
  await settings(page, false);
  await mode(page, "custom");
  await by(page, "generate_btn").click();
  expect(await told(page)).toContain("must not lie after its end");
  await settings(page);
  await fill(page, "cfg_interval_start", "0");
  await fill(page, "cfg_interval_end", "1");
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
  const songs = sentTo(page, "/v1/songs");
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
  await by(page, "duration_auto").click();
  await fill(page, "audio_duration", "5");
  expect(await by(page, "audio_duration").inputValue()).toBe("10");
  await by(page, "duration_auto").click();
  await section(page, "codes_hints_group");
  await by(page, "codes_text").fill("la la la");
  await by(page, "generate_btn").click();
  expect(await told(page)).toContain("Only codes such as");
  await by(page, "codes_text").fill("");
  await settings(page);
  await section(page, "dit_section");
  await by(page, "random_seed").click();
  await fill(page, "seed", "1, two");
  await settings(page, false);
  await by(page, "generate_btn").click();
  expect(await told(page)).toContain("Seeds are whole numbers");
  await settings(page);
  await fill(page, "seed", "-1");
  await by(page, "random_seed").click();
  await settings(page, false);
  expect(songs).toEqual([]);
});

test("custom timesteps: taken, counted, and refused in words when they are none", async () => {
  const { page } = v;
  const songs = sentTo(page, "/v1/songs");
  await page.route("**/v1/songs", (r) => r.fulfill({ status: 400, json: { detail: "not now" } }));
  await by(page, "captions").fill("levels");
  const cases = [
    ["0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0", undefined, 9],
    ["0.9, 0.5, 0.2", "3 timesteps given; using 3 steps", 4],
    ["1.5, 0.5, 0", "must lie between 0 and 1", undefined],
    ["fast, slow", "not readable", undefined],
  ] as const;
  for (const [text, words, levels] of cases) {
    await settings(page);
    await section(page, "dit_section");
    await by(page, "custom_timesteps").fill(text);
    await settings(page, false);
    const before = songs.length;
    await by(page, "generate_btn").click();
    await expect.poll(() => songs.length).toBe(before + 1);
    expect([text, songs.at(-1)!.request.timesteps?.length]).toEqual([text, levels]);
    if (words) await by(page, "toast").getByText(words).waitFor();
  }
  await settings(page);
  await by(page, "custom_timesteps").fill("");
  await settings(page, false);
  await page.unroute("**/v1/songs");
});

test("the dice fill the form; Instrumental keeps the lyrics", async () => {
  const { page } = v;
  await mode(page, "custom");
  await by(page, "caption_dice_btn").click();
  await expect.poll(() => by(page, "captions").inputValue()).not.toBe("levels");
  await section(page, "optional_params");
  for (const auto of ["bpm_auto", "key_auto", "timesig_auto", "duration_auto"]) expect([auto, await by(page, auto).isChecked()]).toEqual([auto, false]);
  for (const x of await fields(page, "lyrics", "bpm", "key_scale", "time_signature", "audio_duration")) expect(x).not.toBe("");
  await by(page, "lyrics").fill("my own words");
  await by(page, "instrumental").click();
  expect(await by(page, "lyrics").inputValue()).toBe("[Instrumental]");
  await by(page, "instrumental").click();
  expect(await by(page, "lyrics").inputValue()).toBe("my own words");
  await by(page, "reset_auto_btn").click();
  expect(await by(page, "bpm_auto").isChecked()).toBe(true);
  await mode(page, "simple");
  await by(page, "simple_query").fill("");
  await by(page, "random_desc_btn").click();
  await expect.poll(() => by(page, "simple_query").inputValue()).not.toBe("");
});

test("Create Sample writes a song's words; Format betters them, can be undone, and is forgotten after an edit", async () => {
  const { page } = v;
  const created = sentTo(page, "/v1/create");
  await mode(page, "simple");
  await by(page, "simple_query").fill("a waltz about rain");
  await by(page, "simple_instrumental").setChecked(false); // the dice may have fallen on a song without words
  await by(page, "simple_vocal_language").selectOption("fr");
  await by(page, "create_sample_btn").click();
  await by(page, "captions").waitFor({ timeout: 90_000 });
  expect(created[0]).toMatchObject({ query: "a waltz about rain", request: { vocal_language: "fr" } });
  expect(await seen(page, "generate_btn")).toBe(true);
  expect(await by(page, "captions").inputValue()).not.toBe("");
  await by(page, "simple_query").fill("a waltz about snow");
  await page.getByText("edited since the sample was made").waitFor();
  await mode(page, "custom");
  await by(page, "captions").fill("a waltz");
  await by(page, "format_btn").click();
  await expect.poll(() => by(page, "captions").inputValue(), { timeout: 90_000 }).not.toBe("a waltz");
  expect((await draft(page)).formatted).toBe(true);
  await by(page, "toast").filter({ hasText: "Caption and lyrics updated" }).last().getByText("Undo").click();
  expect(await by(page, "captions").inputValue()).toBe("a waltz");
  await by(page, "format_btn").click();
  await expect.poll(() => by(page, "captions").inputValue(), { timeout: 90_000 }).not.toBe("a waltz");
  await by(page, "captions").fill("my own again");
  expect((await draft(page)).formatted).toBe(false);
  expect(await by(page, "batch_size").inputValue()).toBe("3");
});

test("a recording becomes codes, codes become words, nothing becomes an example; Analyze does all at once", async () => {
  const { page } = v;
  await mode(page, "custom");
  await section(page, "codes_hints_group");
  expect(await by(page, "transcribe_btn").textContent()).toContain("Generate Example");
  await by(page, "codes_audio_file").setInputFiles(join(folder, "tone.wav"));
  await by(page, "codes_audio").locator("canvas").waitFor();
  await by(page, "convert_codes_btn").click();
  await expect.poll(() => by(page, "codes_text").inputValue(), { timeout: 60_000 }).toMatch(/^(<\|audio_code_\d+\|>){10}$/);
  expect(await by(page, "codes_hints_group").textContent()).toContain("10");
  expect(await by(page, "transcribe_btn").textContent()).toContain("Transcribe");
  const codes = await by(page, "codes_text").inputValue();
  for (const text of [codes, ""]) {
    await by(page, "codes_text").fill(text);
    await by(page, "captions").fill("before");
    await by(page, "transcribe_btn").click();
    await expect.poll(() => by(page, "captions").inputValue(), { timeout: 90_000 }).not.toBe("before");
  }
  // The codes guide a song that does not think.
  const songs = sentTo(page, "/v1/songs");
  await page.route("**/v1/songs", (r) => r.fulfill({ status: 400, json: { detail: "not now" } }));
  await by(page, "codes_text").fill(codes);
  await fill(page, "strength", "0.3");
  if (await by(page, "think").isChecked()) await by(page, "think").click();
  await by(page, "generate_btn").click();
  await expect.poll(() => songs.length).toBe(1);
  expect(songs[0]!.request).toMatchObject({ audio_codes: codes, audio_cover_strength: 0.3, thinking: false });
  await page.unroute("**/v1/songs");
  await by(page, "think").click();

  await mode(page, "remix");
  await by(page, "captions").fill("before");
  await by(page, "src_convert_btn").click();
  await page.locator("#src_codes").waitFor({ timeout: 60_000 });
  expect(await page.locator("#src_codes").inputValue()).toBe(codes);
  await by(page, "analyze_btn").click();
  await expect.poll(() => by(page, "captions").inputValue(), { timeout: 90_000 }).not.toBe("before");
  expect(await by(page, "batch_size").inputValue()).toBe("3");
});

test("the language of the voice, and what the language model is told, are sent as they stand", async () => {
  const { page } = v;
  const songs = sentTo(page, "/v1/songs");
  await page.route("**/v1/songs", (r) => r.fulfill({ status: 400, json: { detail: "not now" } }));
  await mode(page, "custom");
  await by(page, "reset_auto_btn").click();
  await by(page, "captions").fill("words to numbers");
  const send = async () => {
    const before = songs.length;
    await by(page, "generate_btn").click();
    await expect.poll(() => songs.length).toBe(before + 1);
    return songs.at(-1)!;
  };
  expect((await send()).request.vocal_language).toBeUndefined();
  await by(page, "lang_auto").click();
  await by(page, "vocal_language").selectOption("ja");
  await settings(page);
  for (const s of ["lm_section", "automation_section", "output_section", "dit_section"]) await section(page, s);
  const set: Record<string, string> = {
    lm_temperature: "0.7", lm_cfg_scale: "1.5", lm_top_k: "40", lm_top_p: "0.8", lm_batch_chunk_size: "3", shift: "2.5",
  };
  for (const [id, x] of Object.entries(set)) await fill(page, id, x);
  await by(page, "lm_negative_prompt").fill("noise");
  await by(page, "infer_method").selectOption("sde");
  await by(page, "audio_format").selectOption("flac");
  for (const id of ["cot_metas", "cot_language", "constrained_debug"]) await by(page, id).click();
  await settings(page, false);
  for (const id of ["auto_score", "auto_lrc", "parallel_thinking", "caption_rewrite"]) await by(page, id).click();
  const body = await send();
  expect(body).toMatchObject({ score: true, lrc: true });
  expect(body.request).toMatchObject({
    vocal_language: "ja", lm_temperature: 0.7, lm_cfg_scale: 1.5, lm_top_k: 40, lm_top_p: 0.8, lm_batch_chunk_size: 3, shift: 2.5,
    lm_negative_prompt: "noise", infer_method: "sde", audio_format: "flac", use_cot_metas: false, use_cot_language: false,
    constrained_decoding_debug: true, allow_lm_batch: false, use_cot_caption: true, thinking: true,
  });
  await page.unroute("**/v1/songs");
  // All of it is there after a reload; AutoGen is not.
  await by(page, "autogen").click();
  await page.reload();
  await by(page, "generation_mode").waitFor();
  expect(await fields(page, "captions", "batch_size", "vocal_language")).toEqual(["words to numbers", "3", "ja"]);
  expect(await by(page, "auto_lrc").isChecked()).toBe(true);
  expect(await by(page, "autogen").isChecked()).toBe(false);
  await settings(page);
  await section(page, "lm_section");
  expect(await by(page, "lm_top_k").inputValue()).toBe("40");
  await settings(page, false);
  for (const id of ["auto_score", "auto_lrc"]) await by(page, id).click();
});

test("an unreadable recording is refused in words, and a silent one", async () => {
  const { page } = v;
  await mode(page, "remix");
  await by(page, "src_audio").getByLabel("Remove this recording").click();
  const bad = join(folder, "bad.wav");
  writeFileSync(bad, "this is no sound");
  await by(page, "src_audio_file").setInputFiles(bad);
  await page.getByText("could not be read").first().waitFor();
  await by(page, "src_audio_file").setInputFiles(tone(join(folder, "silence.wav"), 1, 0));
  await page.getByText("is silent").first().waitFor();
  expect(await by(page, "src_audio").locator("canvas").count()).toBe(0);
});

test("help has a topic for each group, and the guide's tips and four troubles", async () => {
  const { page } = v;
  const dialog = page.getByRole("dialog");
  for (const [button, words] of [["help_generation_remix", "Remix"], ["help_results", "Results"], ["help_getting_started", "Getting started"]] as const) {
    await by(page, button).click();
    expect(await dialog.textContent()).toContain(words);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    expect(await page.evaluate(() => document.activeElement?.getAttribute("data-testid"))).toBe(button);
  }
  await by(page, "help_getting_started").click();
  const topics = await dialog.locator("option").evaluateAll((all) => all.map((o) => (o as HTMLOptionElement).value));
  expect(topics.length).toBeGreaterThanOrEqual(18);
  for (const [topic, words] of [["tips", ["seed", "batch", "reference", "repaint"]], ["troubleshooting", ["no sound", "poor results", "out of memory", "language model missing"]]] as const) {
    await dialog.locator("select").selectOption(topic);
    const text = ((await dialog.textContent()) ?? "").toLowerCase();
    for (const w of words) expect([topic, w, text.includes(w)]).toEqual([topic, w, true]);
  }
  await dialog.getByLabel("Close").click();
});

test("the language changes everything at once, without raw keys", async () => {
  const { page } = v;
  await mode(page, "custom");
  await by(page, "captions").fill("");
  await by(page, "caption_dice_btn").click();
  await by(page, "toast").filter({ hasText: "An example is loaded" }).waitFor();
  const before: string[] = [];
  for (const [code, word] of [["zh", "生成音乐"], ["ja", "音楽を生成"], ["en", "Generate Music"]] as const) {
    await by(page, "language_menu").selectOption(code);
    await expect.poll(() => by(page, "generate_btn").textContent()).toContain(word);
    if (code !== "en") before.push(await told(page));
    expect(await page.evaluate(() => document.documentElement.lang)).toBe(code);
    const text = await page.locator("body").innerText();
    expect(text).not.toMatch(/\b(generation|training|messages|results|settings|param|info|service)\.[a-z_]+/);
  }
  expect(new Set([...before, "An example is loaded"]).size).toBe(3);
});
