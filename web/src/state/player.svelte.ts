// Sounds of songs: one element each, however many places show it, and one of them plays at a time, all with one volume. The
// element lies in the card that shows the song; when the card goes while it plays, it moves to the player at the bottom of the
// page and goes on.
import { prefs } from "./prefs.svelte";

const AHEAD = 0.02; // seconds before the end of a looped region that count as its end

export class Sound {
  time = $state(0);
  playing = $state(false);
  broken = $state(false);
  loop = $state(false);
  region: [number, number] | null = $state(null);
  readonly audio = new Audio();
  private frame = 0;

  constructor(
    readonly key: string,
    src: string,
  ) {
    const a = this.audio;
    a.preload = "none";
    a.src = src;
    a.volume = prefs.volume;
    a.addEventListener("play", () => {
      this.playing = true;
      this.broken = false;
      started(a);
      this.follow();
    });
    a.addEventListener("pause", () => {
      this.playing = false;
      cancelAnimationFrame(this.frame);
    });
    a.addEventListener("timeupdate", () => this.moved());
    a.addEventListener("seeking", () => (this.time = a.currentTime));
    a.addEventListener("error", () => (this.broken = true));
    a.addEventListener("ended", () => player.onend?.(this));
  }

  private moved(): void {
    const a = this.audio;
    const r = this.region;
    if (this.loop && r && this.playing && a.currentTime >= r[1] - AHEAD) a.currentTime = r[0];
    this.time = a.currentTime;
  }
  /** Between the events of the element, so that the line in the picture moves evenly. */
  private follow = (): void => {
    this.moved();
    this.frame = this.playing ? requestAnimationFrame(this.follow) : 0;
  };

  play(): void {
    this.audio.playbackRate = prefs.speed;
    this.audio.play().catch((e: unknown) => {
      // Stopping before it has begun is no failure.
      if (!(e instanceof DOMException && e.name === "AbortError")) this.broken = true;
    });
  }
  toggle(): void {
    if (this.audio.paused) this.play();
    else this.audio.pause();
  }
  seek(to: number): void {
    this.audio.currentTime = Math.max(0, to);
    this.time = this.audio.currentTime;
  }
  setLoop(on: boolean): void {
    this.loop = on;
    this.region = null;
    this.audio.loop = on;
  }
  setRegion(from: number, to: number): void {
    this.region = [from, to];
    this.audio.loop = false;
  }
  again(): void {
    this.broken = false;
    this.audio.load();
  }
}

interface Player {
  current: Sound | null; // what the player at the bottom shows
  onend: ((s: Sound) => void) | null;
}
export const player: Player = $state({ current: null, onend: null });

const sounds = new Map<string, { sound: Sound; shown: number }>();
const others = new Set<HTMLAudioElement>(); // recordings, comparisons: they have players of their own

/** The sound of a song, made when it is asked for first. */
export function soundOf(key: string, src: string): Sound {
  let entry = sounds.get(key);
  if (!entry) sounds.set(key, (entry = { sound: new Sound(key, src), shown: 0 }));
  return entry.sound;
}

/** For a place on the page (an action of Svelte's): the element lies there as long as the place is. */
export function holds(node: HTMLElement, sound: Sound): { destroy: () => void } {
  const entry = sounds.get(sound.key);
  if (entry) entry.shown++;
  node.append(sound.audio);
  return {
    destroy() {
      if (entry) entry.shown--;
      // Moved within one task, it goes on playing.
      if (player.current === sound || entry?.shown) document.body.append(sound.audio);
      else drop(sound);
    },
  };
}

function drop(sound: Sound): void {
  sound.audio.pause();
  sound.audio.remove();
  sounds.delete(sound.key);
}

/** Another sound for the player at the bottom, or none. */
export function choose(sound: Sound | null): void {
  const before = player.current;
  if (before === sound) return;
  player.current = sound;
  if (!before) return;
  before.audio.pause();
  if (!sounds.get(before.key)?.shown) drop(before);
}

function started(audio: HTMLAudioElement): void {
  for (const other of others) if (other !== audio) other.pause();
  for (const { sound } of sounds.values()) if (sound.audio !== audio) sound.audio.pause();
}

/** Another player of the page takes part: it stops when a song starts, and a song when it starts. Returns what ends that. */
export function join(audio: HTMLAudioElement): () => void {
  others.add(audio);
  const begun = () => started(audio);
  audio.addEventListener("play", begun);
  return () => {
    audio.pause();
    others.delete(audio);
    audio.removeEventListener("play", begun);
  };
}

export function stopAll(): void {
  for (const audio of [...others, ...[...sounds.values()].map((x) => x.sound.audio)]) {
    audio.pause();
    if (audio.currentTime) audio.currentTime = 0;
  }
}

export function setVolume(v: number): void {
  prefs.volume = Math.min(1, Math.max(0, v));
}

/** To be called once, from the root component: volume and speed reach whatever plays. */
export function keepPlayers(): void {
  $effect(() => {
    const { volume, speed } = prefs;
    for (const { sound } of sounds.values()) (sound.audio.volume = volume), (sound.audio.playbackRate = speed);
  });
}
