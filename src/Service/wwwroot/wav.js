// WAV files of 16-bit mono samples.
const HEADER = 44;

/** Samples as bytes, little-endian, as a complete file. */
export function toWav(pcm, rate = 24000) {
  const wav = new Uint8Array(HEADER + pcm.length);
  const view = new DataView(wav.buffer);
  const write = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  write(0, 'RIFF');
  view.setUint32(4, HEADER - 8 + pcm.length, true);
  write(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, 'data');
  view.setUint32(40, pcm.length, true);
  wav.set(pcm, HEADER);
  return wav;
}

/** Samples in [-1, 1] as bytes. */
export function toPcm(samples) {
  const pcm = new Uint8Array(samples.length * 2);
  const view = new DataView(pcm.buffer);
  samples.forEach((sample, i) => view.setInt16(i * 2, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return pcm;
}

/** The bytes of the samples of a file. */
export const pcmOf = wav => wav.subarray(HEADER);
