// Passes the microphone's samples on, some at a time.
registerProcessor('recorder', class extends AudioWorkletProcessor {
  #samples = [];

  process([[channel]]) {
    if (channel) this.#samples.push(...channel);
    if (this.#samples.length >= 4096) {
      this.port.postMessage(Float32Array.from(this.#samples));
      this.#samples = [];
    }

    return true;
  }
});
