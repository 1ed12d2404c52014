// What plays after what: the list that a song was started from, a batch or what the library shows.
import { entriesOf, entryOf, neighbour, type Entry } from "../lib/playlist";
import { choose, player, soundOf } from "./player.svelte";
import { prefs } from "./prefs.svelte";
import { soundUrl } from "./results.svelte";
import { songs } from "./songs.svelte";

const list: { keys: string[] } = $state({ keys: [] });

export const playing = (): Entry | undefined => (player.current ? entryOf(songs.batches, player.current.key) : undefined);

/** Plays a song, or halts it when it is the one that plays. */
export function playEntry(e: Entry, keys: string[]): void {
  list.keys = keys;
  const sound = soundOf(e.key, soundUrl(e.job, e.sample));
  choose(sound);
  sound.toggle();
}

/** The song before or behind the current one that is still there. */
export function beside(by: 1 | -1): Entry | undefined {
  if (!player.current) return undefined;
  const keys = list.keys.includes(player.current.key) ? list.keys : entriesOf(songs.batches).map((e) => e.key);
  for (let key = neighbour(keys, player.current.key, by); key !== undefined; key = neighbour(keys, key, by)) {
    const found = entryOf(songs.batches, key);
    if (found) return found;
  }
  return undefined;
}

export function skip(by: 1 | -1): void {
  const to = beside(by);
  if (!to) return;
  const sound = soundOf(to.key, soundUrl(to.job, to.sample));
  choose(sound);
  sound.seek(0);
  sound.play();
}

player.onend = () => {
  if (prefs.playOn) skip(1);
};
