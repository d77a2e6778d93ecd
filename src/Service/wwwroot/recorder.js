// Records from the microphone into a WAV file.
import { toPcm, toWav } from './wav.js';

export class Recorder {
  #parts = [];
  #context = null;
  #stream = null;

  get isOn() { return this.#context !== null; }

  /** Begins. The browser asks the user first. */
  async start(onSeconds) {
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    const context = this.#context = new AudioContext();
    this.#parts = [];
    await context.audioWorklet.addModule('recorder-worklet.js');
    const node = new AudioWorkletNode(context, 'recorder', { numberOfOutputs: 0 });
    let count = 0;
    node.port.onmessage = ({ data }) => {
      if (this.#context !== context) return; // it has been stopped
      this.#parts.push(data);
      count += data.length;
      onSeconds(count / context.sampleRate);
    };
    context.createMediaStreamSource(this.#stream).connect(node);
  }

  /** Ends, and gives the file. */
  async stop() {
    const [context, stream] = [this.#context, this.#stream];
    this.#context = null;
    stream.getTracks().forEach(track => track.stop());
    await context.close();
    const samples = new Float32Array(this.#parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.#parts) {
      samples.set(part, at);
      at += part.length;
    }

    return new File([toWav(toPcm(samples), context.sampleRate)], 'recording.wav', { type: 'audio/wav' });
  }
}
