// Chunks into one AudioContext of their own rate, each begun at the very sample at which the one before it ends.
import { pcmOf, toWav } from './wav.js';

const LEAD_SECONDS = 0.05;
const RATE = 24000;

export class Player {
  constructor({ onPlaying, onPlayed, onEnd, onGap }) {
    Object.assign(this, { onPlaying, onPlayed, onEnd, onGap, context: null, analyser: null });
    this.#clear();
  }

  get length() { return this.pieces.length; }

  get isPaused() { return this.context?.state === 'suspended'; }

  /** Seconds of speech that have come. */
  get duration() { return this.pieces.reduce((sum, p) => sum + p.node.buffer.length, 0) / RATE; }

  /** Seconds of speech that have been played. */
  get position() {
    const now = (this.context?.currentTime ?? 0) * RATE;
    return this.pieces.reduce((sum, p) => sum + Math.max(0, Math.min(now, p.end) - p.start), 0) / RATE;
  }

  /** Begins anew. To be called when the user has pressed something: browsers allow sound only then. */
  reset() {
    this.stop();
    this.context ??= new AudioContext({ sampleRate: RATE });
    this.context.resume();
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 2048;
    this.analyser.connect(this.context.destination);
    this.#clear();
  }

  /** Queues a chunk of a sentence: a complete WAV file of 16-bit mono samples at 24 kHz. */
  add(index, wav) {
    const view = new DataView(wav.buffer, wav.byteOffset, wav.byteLength);
    const buffer = this.context.createBuffer(1, Math.max(1, (wav.byteLength - 44) >> 1), RATE);
    const samples = buffer.getChannelData(0);
    for (let i = 0, byte = 44; byte + 1 < wav.byteLength; i++, byte += 2) samples[i] = view.getInt16(byte, true) / 32768;

    const node = this.context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.analyser);
    const soon = Math.ceil((this.context.currentTime + LEAD_SECONDS) * RATE);
    const isLate = this.length > 0 && this.end < this.context.currentTime * RATE;
    const start = this.length > 0 && !isLate ? this.end : soon;
    node.start(start / RATE);
    this.end = start + buffer.length;
    const piece = { index, wav, node, start, end: this.end, isOver: false };
    node.onended = () => {
      piece.isOver = true;
      if (!this.pieces.includes(piece)) return;
      if (this.pieces.every(p => p.index !== index || p.isOver)) this.onPlayed(index);
      this.playing--;
      if (this.playing === 0 && this.finished) this.onEnd();
    };
    setTimeout(() => this.pieces.includes(piece) && this.onPlaying(index), (start / RATE - this.context.currentTime) * 1000);
    this.playing++;
    this.pieces.push(piece);
    if (isLate) this.onGap();
  }

  /** No more chunks come. */
  finish() {
    this.finished = true;
    if (this.playing === 0 && this.length > 0) this.onEnd();
  }

  pause() { return this.context.suspend(); }

  resume() { return this.context?.resume(); }

  /** Silence, now; what has come is forgotten. */
  stop() {
    const pieces = this.pieces;
    this.#clear();
    for (const { node } of pieces) node.stop();
    this.analyser?.disconnect();
  }

  /** Everything that was queued, as one file. */
  wav() {
    const parts = this.pieces.map(p => pcmOf(p.wav));
    const pcm = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
    let at = 0;
    for (const part of parts) {
      pcm.set(part, at);
      at += part.length;
    }

    return new Blob([toWav(pcm)], { type: 'audio/wav' });
  }

  /** Where each sentence lies in the file, in seconds. */
  ranges() {
    const ranges = [];
    let at = 0;
    for (const { index, node } of this.pieces) {
      const end = at + node.buffer.length / RATE;
      ranges[index] = { start: ranges[index]?.start ?? at, end };
      at = end;
    }

    return ranges;
  }

  #clear() {
    this.pieces = [];
    this.playing = 0;
    this.end = 0; // on the context's clock, in samples
    this.finished = false;
  }
}
