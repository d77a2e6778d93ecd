// The sliders, what they start with, and presets of them.
import { at } from './api.js';

export const SLIDERS = ['exaggeration', 'cfg_weight', 'temperature'];

const PRESETS = {
  neutral: { exaggeration: 0.5, cfg_weight: 0.5, temperature: 0.8 },
  calm: { exaggeration: 0.3, cfg_weight: 0.6, temperature: 0.6 },
  lively: { exaggeration: 0.8, cfg_weight: 0.35, temperature: 0.8 },
  dramatic: { exaggeration: 1.2, cfg_weight: 0.3, temperature: 0.9 },
};

const show = id => { at(`${id}-value`).value = at(id).value; };

export const isDefault = id => at(id).value === at(id).defaultValue;

/** The values of the sliders that were moved; of the others, the model has its own. */
export const values = () => Object.fromEntries(SLIDERS.filter(id => !at(id).disabled && !isDefault(id)).map(id => [id, +at(id).value]));

/** Puts values into the sliders. */
export function setValues(settings) {
  for (const id of SLIDERS) {
    at(id).value = settings[id] ?? at(id).defaultValue;
    show(id);
  }

  at('form').dispatchEvent(new Event('input'));
}

/** Settings that the chosen model does not have are disabled. */
export function allow(lacks) {
  for (const id of SLIDERS) at(id).disabled = lacks.includes(id);
}

export function start() {
  for (const id of SLIDERS) at(id).addEventListener('input', () => { show(id); at('preset').value = ''; });
  at('preset').addEventListener('change', () => PRESETS[at('preset').value] && setValues(PRESETS[at('preset').value]));
  at('reset').addEventListener('click', () => {
    at('preset').value = 'neutral';
    at('seed').value = '';
    setValues(PRESETS.neutral);
  });
}
