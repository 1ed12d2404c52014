// Who is playing: one at a time, all with the same volume.
import { prefs } from "./prefs.svelte";

const players = new Set<HTMLAudioElement>();

export const now = $state({ key: "" }); // of the card that plays

export function join(audio: HTMLAudioElement, key: string): () => void {
  players.add(audio);
  const started = () => {
    for (const other of players) if (other !== audio) other.pause();
    now.key = key;
  };
  const stopped = () => {
    if (now.key === key) now.key = "";
  };
  audio.addEventListener("play", started);
  audio.addEventListener("pause", stopped);
  return () => {
    audio.pause();
    players.delete(audio);
    audio.removeEventListener("play", started);
    audio.removeEventListener("pause", stopped);
  };
}

export function stopAll(): void {
  for (const audio of players) {
    audio.pause();
    audio.currentTime = 0;
  }
}

export function setVolume(v: number): void {
  prefs.volume = Math.min(1, Math.max(0, v));
}
