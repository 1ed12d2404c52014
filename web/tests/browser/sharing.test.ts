// A batch that is shared: heard by whoever has its link, without an account, until its owner has had enough.
import { afterAll, beforeAll, expect, test } from "vitest";
import { begin, by, close, finished, initialise, openWith, quick, url, visit } from "./studio";

beforeAll(() => openWith(["--auth-username", "ada", "--auth-password", "open sesame"]));
afterAll(close);

test("a shared batch is heard by a visitor with its link and no account, until it is shared no more", async () => {
  const { page: hers } = await visit({ closed: true });
  await hers.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await hers.getByLabel("Name").fill("ada");
  await hers.getByLabel("Password").fill("open sesame");
  await hers.getByRole("button", { name: "Enter" }).click();
  await initialise(hers, "turbo", false);
  await quick(hers, 2);
  await by(hers, "captions").fill("a lullaby for lighthouses");
  await by(hers, "lyrics").fill("[Verse]\nshine on");
  await begin(hers);
  await finished(hers, 2);
  const song = (await hers.locator("[data-testid=player_1] audio").getAttribute("src"))!;
  await by(hers, "share_batch").click();
  await by(hers, "shared_badge").waitFor();
  const link = await hers.evaluate(() => navigator.clipboard.readText());
  expect(link).toMatch(new RegExp(`^${url}/?#shared=[0-9a-f]{32}$`));
  await hers.reload();
  await by(hers, "shared_badge").waitFor();

  // Another browser, which nobody has signed in.
  const context = (await visit({ closed: true })).page.context();
  await context.clearCookies();
  const his = await context.newPage();
  const trouble: string[] = [];
  his.on("console", (m) => m.type() === "error" && trouble.push(m.text()));
  his.on("pageerror", (e) => trouble.push(e.message));
  await his.goto(link);
  await by(his, "player_2").waitFor();
  expect(await by(his, "shared_view").textContent()).toContain("a lullaby for lighthouses");
  expect(await by(his, "shared_lyrics").textContent()).toBe("[Verse]\nshine on");
  expect(await his.locator("input:not([type=range]), textarea, form").count()).toBe(0);
  expect(await his.evaluate(async (path) => (await fetch(path)).status, song)).toBe(401);
  const heard = await his.evaluate(async () => {
    const sound = document.querySelector<HTMLAudioElement>("[data-testid=player_1] audio")!;
    const bytes = await (await fetch(sound.src)).arrayBuffer();
    const buffer = await new OfflineAudioContext(2, 48000, 48000).decodeAudioData(bytes);
    const x = buffer.getChannelData(0);
    return { seconds: buffer.duration, loud: Math.sqrt(x.reduce((a, b) => a + b * b, 0) / x.length) };
  });
  expect(heard.seconds).toBeGreaterThan(9.5);
  expect(heard.loud).toBeGreaterThan(0.001);
  await by(his, "player_1_play").click();
  await expect.poll(() => by(his, "player_1").getAttribute("data-playing")).toBe("true");
  const coming = his.waitForEvent("download");
  await by(his, "download_2").click();
  expect((await coming).suggestedFilename()).toMatch(/lighthouses-2\.mp3$/);
  expect(trouble.filter((x) => !x.includes("401"))).toEqual([]);

  await by(hers, "unshare_batch").click();
  await by(hers, "shared_badge").waitFor({ state: "detached" });
  await his.reload();
  await by(his, "shared_gone").waitFor();
  expect(await his.locator("audio").count()).toBe(0);
  await Promise.all([hers.context().close(), context.close()]);
});
