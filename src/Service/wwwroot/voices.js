// Voices: the list, how one sounds, and new ones from a file or the microphone where the service takes them.
import { at, get, getJson, post, remove } from './api.js';
import { Recorder } from './recorder.js';

const SAMPLE_TEXT = 'Hello! This is how I sound.';
const LEAST_SECONDS = 5;

const recorder = new Recorder();
const preview = new Audio();
let recording = null;
let uploads = false;

const say = text => { at('voice-status').textContent = text; };

/** Shows the voices, and keeps the chosen one. */
export async function list(chosen = at('voice').value) {
  const { voices = [] } = await getJson('voices').catch(() => ({}));
  at('voice').replaceChildren(...['default', ...voices].map(name => new Option(name, name, false, name === chosen)));
  at('target-voice').replaceChildren(...['default', ...voices].map(name => new Option(name)));
  showDelete();
}

const showDelete = () => { at('delete-voice').hidden = !uploads || at('voice').value === 'default'; };

/** @param isOn whether the service takes new voices */
export function allowUploads(isOn) {
  uploads = isOn;
  at('new-voice').hidden = !isOn;
  showDelete();
}

async function hear() {
  at('preview').disabled = true;
  say('Generating a sample…');
  try {
    const answer = await post('v1/audio/speech', { model: 'tts-1', input: SAMPLE_TEXT, voice: at('voice').value, response_format: 'wav', stream: false, seed: 1 });
    URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(await answer.blob());
    await preview.play();
    say(`A sample of ${at('voice').value}.`);
  } catch (error) {
    say(error.message);
  } finally {
    at('preview').disabled = false;
  }
}

async function record() {
  if (recorder.isOn) {
    recording = await recorder.stop();
    at('record').textContent = 'Record';
    at('voice-file').value = '';
    say('Recorded. Give it a name, then add it.');
    return showAdd();
  }

  try {
    await recorder.start(seconds => say(`Recording: ${Math.floor(seconds)} s${seconds < LEAST_SECONDS ? ` (${LEAST_SECONDS} s at least)` : ''}`));
    at('record').textContent = 'Stop recording';
    say('Recording: 0 s');
  } catch (error) {
    say(`The microphone cannot be used: ${error.message}`);
  }
}

const file = () => at('voice-file').files[0] ?? recording;
const showAdd = () => { at('add-voice').disabled = !file() || !at('voice-name').value.trim() || !at('consent').checked; };

async function add() {
  const name = at('voice-name').value.trim();
  const form = new FormData();
  form.set('name', name);
  form.set('file', file());
  at('add-voice').disabled = true;
  say('Computing the voice…');
  try {
    await post('v1/audio/voices', form);
    recording = null;
    at('voice-file').value = at('voice-name').value = '';
    at('consent').checked = false;
    await list(name);
    say(`${name} was added.`);
  } catch (error) {
    say(error.message);
  } finally {
    showAdd();
  }
}

async function erase() {
  const name = at('voice').value;
  if (!confirm(`Delete the voice ${name}?`)) return;
  try {
    await remove(`v1/audio/voices/${encodeURIComponent(name)}`);
    await list('default');
    say(`${name} was deleted.`);
  } catch (error) {
    say(error.message);
  }
}

export function start() {
  at('preview').addEventListener('click', hear);
  at('record').addEventListener('click', record);
  at('add-voice').addEventListener('click', add);
  at('delete-voice').addEventListener('click', erase);
  at('voice').addEventListener('change', showDelete);
  at('record').hidden = !navigator.mediaDevices?.getUserMedia;
  at('voice-file').addEventListener('change', () => { recording = null; showAdd(); });
  for (const id of ['voice-name', 'consent']) at(id).addEventListener('input', showAdd);
}
