// Plays a take that is complete, from any point and at any speed; the pitch stays.
import { at } from './api.js';

const clock = seconds => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

export class Replay {
  constructor({ onTime, onEnd }) {
    this.audio = new Audio();
    this.audio.preload = 'auto';
    this.audio.addEventListener('timeupdate', () => onTime(this.audio.currentTime));
    this.audio.addEventListener('ended', onEnd);
  }

  get isPlaying() { return !this.audio.paused && !this.audio.ended; }

  /** A take, or none. */
  set take(take) {
    this.audio.pause();
    if (take) this.audio.src = take.url;
    else this.audio.removeAttribute('src');
  }

  get hasTake() { return this.audio.hasAttribute('src'); }

  async play(seconds) {
    if (seconds !== undefined) this.audio.currentTime = seconds;
    this.audio.playbackRate = +at('rate').value;
    await this.audio.play();
  }

  pause() { this.audio.pause(); }
}

/** Shows where playback is. */
export function showTime(position, duration) {
  at('seek').max = duration;
  at('seek').value = position;
  at('seek').setAttribute('aria-valuetext', `${clock(position)} of ${clock(duration)}`);
  at('time').textContent = `${clock(position)} / ${clock(duration)}`;
}
