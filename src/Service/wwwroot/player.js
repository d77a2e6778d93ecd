// Chunks into one AudioContext of their own rate, each begun at the very sample at which the one before it ends.
const LEAD_SECONDS = 0.05;
const RATE = 24000;

/** 16-bit mono samples as a complete WAV file. */
export function toWav(pcm) {
  const wav = new Uint8Array(44 + pcm.length);
  const view = new DataView(wav.buffer);
  const write = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  write(0, 'RIFF');
  view.setUint32(4, 36 + pcm.length, true);
  write(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, 'data');
  view.setUint32(40, pcm.length, true);
  wav.set(pcm, 44);
  return wav;
}

export class Player {
  constructor({ onPlaying, onPlayed, onEnd }) {
    Object.assign(this, { onPlaying, onPlayed, onEnd, context: null, analyser: null });
    this.#clear();
  }

  get length() { return this.pieces.length; }

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
    const start = this.length > 0 && this.end >= this.context.currentTime * RATE ? this.end : soon; // late: there is a gap
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
  }

  /** No more chunks come. */
  finish() {
    this.finished = true;
    if (this.playing === 0 && this.length > 0) this.onEnd();
  }

  /** Silence, now. */
  stop() {
    const pieces = this.pieces;
    this.#clear();
    for (const { node } of pieces) node.stop();
    this.analyser?.disconnect();
  }

  /** Everything that was queued, as one file. */
  wav() {
    const parts = this.pieces.map(p => p.wav.subarray(44));
    const bytes = parts.reduce((sum, p) => sum + p.length, 0);
    const header = new Uint8Array(this.pieces[0].wav.slice(0, 44));
    const view = new DataView(header.buffer);
    view.setUint32(4, bytes + 36, true);
    view.setUint32(40, bytes, true);
    return new Blob([header, ...parts], { type: 'audio/wav' });
  }

  #clear() {
    this.pieces = [];
    this.playing = 0;
    this.end = 0; // on the context's clock, in samples
    this.finished = false;
  }
}
