// The last takes, with what they were made with.
import { at, save } from './api.js';

const MOST = 10;
const takes = [];

const button = (text, label, onClick) => {
  const made = Object.assign(document.createElement('button'), { type: 'button', textContent: text, onclick: onClick });
  made.setAttribute('aria-label', label);
  return made;
};

/** Adds a take: { text, voice, model, language, settings, seed, url, blob, ranges, sentences }. */
export function keep(take, { play, again }) {
  takes.unshift(take);
  for (const old of takes.splice(MOST)) URL.revokeObjectURL(old.url);
  at('history').hidden = false;
  at('takes').replaceChildren(...takes.map(one => {
    const item = document.createElement('li');
    const words = Object.assign(document.createElement('p'), { textContent: one.text.length > 90 ? `${one.text.slice(0, 90)}…` : one.text });
    const settings = Object.entries(one.settings).map(([name, value]) => `${name} ${value}`).join(', ');
    const about = Object.assign(document.createElement('p'), { className: 'note', textContent: `${one.voice}, ${settings ? `${settings}, ` : ''}seed ${one.seed}` });
    const buttons = Object.assign(document.createElement('div'), { className: 'buttons' });
    const name = one.text.slice(0, 30);
    buttons.append(
      button('Play', `Play: ${name}`, () => play(one)),
      button('Again', `Again with the same seed: ${name}`, () => again(one, one.seed)),
      button('Other seed', `Other seed for: ${name}`, () => again(one, null)),
      button('Save', `Save: ${name}`, () => save(one.blob, 'speech.wav')));
    item.append(words, about, buttons);
    return item;
  }));
}
