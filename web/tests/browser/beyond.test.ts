// Beyond the guide: the player at the bottom of the page, pictures of sound, the library.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { by, close, fill, finished, initialise, leave, open, quick, type View, visit } from "./studio";

beforeAll(open);
afterAll(close);

let v: View;
beforeEach(async () => void (v = await visit()));
afterEach(async () => {
  expect(v.trouble).toEqual([]);
  await leave(v);
});

const playing = (id: string) => expect.poll(() => by(v.page, id).getAttribute("data-playing"));

test("what plays stays at hand on every tab and in every batch", async () => {
  const { page } = v;
  await initialise(page, "turbo");
  await quick(page, 2);
  for (const words of ["slow piano", "fast drums"]) {
    await by(page, "captions").fill(words);
    await by(page, "generate_btn").click();
    await by(page, "card_1").getByText(words).waitFor({ timeout: 60_000 });
    await finished(page, 2);
  }
  expect(await by(page, "dock").count()).toBe(0);
  await by(page, "player_1_play").click();
  await playing("dock").toBe("true");
  expect(await by(page, "dock_title").textContent()).toContain("fast drums");
  // Another tab, another batch: the same song goes on, and its picture moves.
  await by(page, "tab_library").click();
  await by(page, "tab_generation").click();
  await by(page, "prev_batch").click();
  await playing("dock").toBe("true");
  const bar = by(page, "dock").locator("canvas");
  await expect.poll(async () => Number(await bar.getAttribute("aria-valuenow"))).toBeGreaterThan(0);
  // Space, where no field has the focus; arrows in the picture.
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.keyboard.press("Space");
  await playing("dock").toBe("false");
  await bar.press("ArrowRight");
  await expect.poll(async () => Number(await bar.getAttribute("aria-valuenow"))).toBeGreaterThanOrEqual(5);
  await by(page, "captions").press("Space");
  await playing("dock").toBe("false");
  // Next plays the other song of its batch; the title leads back to it.
  await by(page, "dock_next").click();
  await playing("dock").toBe("true");
  expect(await by(page, "dock_next").isDisabled()).toBe(true);
  await by(page, "dock_title").click();
  expect(await by(page, "batch_indicator").textContent()).toBe("Batch 2 / 2");
  await playing("player_2").toBe("true");
  // The browser's own keys know what plays.
  const session = await page.evaluate(() => [navigator.mediaSession.metadata?.title, navigator.mediaSession.playbackState]);
  expect(session).toEqual(["fast drums", "playing"]);
  // A song of this batch's card takes over: one sound at a time.
  await by(page, "player_1_play").click();
  await playing("player_2").toBe("false");
  await by(page, "dock_close").click();
  expect(await by(page, "dock").count()).toBe(0);
  await playing("player_1").toBe("false");
});

test("a spectrogram is made beside the page and drawn below the waveform", async () => {
  const { page } = v;
  const canvas = by(page, "player_1").locator("canvas");
  await canvas.waitFor();
  const before = (await canvas.boundingBox())!.height;
  await by(page, "spectrogram_1").click();
  await expect.poll(() => canvas.getAttribute("data-spectrum"), { timeout: 30_000 }).toBe("900");
  expect((await canvas.boundingBox())!.height).toBeGreaterThan(before + 90);
  // Sound of all frequencies has many shades, silence and a failed picture one.
  const shades = await canvas.evaluate((c: HTMLCanvasElement) => {
    const g = c.getContext("2d")!;
    const { data } = g.getImageData(c.width / 2, c.height - 80, 40, 60);
    return new Set(Array.from({ length: data.length / 4 }, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size;
  });
  expect(shades).toBeGreaterThan(10);
  await by(page, "spectrogram_1").click();
  await expect.poll(async () => (await canvas.boundingBox())!.height).toBe(before);
});

test("the library finds by words, tags and stars, plays, renames, and takes deletions back", async () => {
  const { page } = v;
  await by(page, "tab_library").click();
  const entries = by(page, "library_entry");
  await expect.poll(() => entries.count()).toBe(4);
  await entries.first().getByTestId("library_edit_tags").click();
  await by(page, "library_tags").fill("late night, drums");
  await by(page, "library_tags").press("Enter");
  await entries.first().getByText("#late night").waitFor();
  await entries.nth(1).getByTestId("library_fav").click();
  await entries.nth(2).getByTestId("library_rename").click();
  await by(page, "library_title").fill("Nocturne");
  await by(page, "library_title").press("Enter");
  await fill(page, "library_search", "nocturne");
  await expect.poll(() => entries.count()).toBe(1);
  await fill(page, "library_search", "late");
  await expect.poll(() => entries.count()).toBe(1);
  await fill(page, "library_search", "");
  await by(page, "library_tag").filter({ hasText: "#drums" }).click();
  await expect.poll(() => by(page, "library_count").textContent()).toBe("1 of 4 songs");
  await by(page, "library_tag").filter({ hasText: "#drums" }).click();
  await by(page, "library_starred").click();
  await expect.poll(() => entries.count()).toBe(1);
  await by(page, "library_starred").click();
  await entries.nth(2).getByTestId("library_play").click();
  await playing("dock").toBe("true");
  expect(await by(page, "dock_title").textContent()).toContain("Nocturne");
  // A deletion can be taken back for a while; the second one is meant.
  const remove = async () => {
    await by(page, "library_order").selectOption("title");
    await entries.filter({ hasText: "Nocturne" }).getByRole("checkbox").check();
    await by(page, "library_remove").click();
    await expect.poll(() => entries.count()).toBe(3);
  };
  await remove();
  expect(await by(page, "dock").count()).toBe(0);
  await by(page, "toast").getByText("Undo").first().click();
  await expect.poll(() => entries.count()).toBe(4);
  await remove();
  // Leaving the page does not forget it.
  await page.reload();
  await by(page, "tab_library").click();
  await expect.poll(() => entries.count()).toBe(3);
  await expect.poll(() => by(page, "library_tag").count()).toBe(2);
});
