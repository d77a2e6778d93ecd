// The waveform of all that has come, and where playback is in it.
const BAR = 3; // pixels

export function draw(canvas, { samples, position, duration }) {
  const context = canvas.getContext('2d');
  const scale = devicePixelRatio;
  const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  const [played, ahead] = [style.getPropertyValue('--accent'), style.getPropertyValue('--faint')];
  const bars = Math.floor(width / (BAR * scale));
  const done = duration > 0 ? position / duration * bars : 0;
  for (let bar = 0; bar < bars; bar++) {
    const size = Math.max(scale, peak(samples, bar / bars, (bar + 1) / bars) * height * 0.96);
    context.fillStyle = bar < done ? played : ahead;
    context.fillRect(bar * BAR * scale, (height - size) / 2, (BAR - 1) * scale, size);
  }
}

/** The loudest of a part of some lists of samples. */
function peak(lists, from, to) {
  const all = lists.reduce((sum, list) => sum + list.length, 0);
  let [left, right, loudest, before] = [Math.floor(from * all), Math.ceil(to * all), 0, 0];
  for (const list of lists) {
    const [a, b] = [Math.max(0, left - before), Math.min(list.length, right - before)];
    for (let i = a, step = Math.max(1, Math.floor((b - a) / 64)); i < b; i += step) loudest = Math.max(loudest, Math.abs(list[i]));
    before += list.length;
  }

  return loudest;
}
