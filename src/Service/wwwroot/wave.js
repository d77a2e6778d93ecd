// The waveform of what is played.
export function draw(canvas, player) {
  const context = canvas.getContext('2d');
  const samples = new Float32Array(2048);
  const still = matchMedia('(prefers-reduced-motion: reduce)');

  function frame() {
    const scale = devicePixelRatio;
    const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
    if (canvas.width !== width) [canvas.width, canvas.height] = [width, height];
    context.clearRect(0, 0, width, height);
    if (player.analyser) player.analyser.getFloatTimeDomainData(samples);
    context.strokeStyle = getComputedStyle(canvas).getPropertyValue('--accent');
    context.lineWidth = 2 * scale;
    context.beginPath();
    for (let x = 0; x < width; x += scale) {
      const y = (0.5 - 0.48 * samples[Math.floor(x / width * samples.length)]) * height;
      x === 0 ? context.moveTo(x, y) : context.lineTo(x, y);
    }

    context.stroke();
    still.matches ? setTimeout(frame, 500) : requestAnimationFrame(frame);
  }

  frame();
}
