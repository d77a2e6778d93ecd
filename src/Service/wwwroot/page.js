// The page: requests a stream of chunks, plays them without gaps, and shows the progress. The default model is used through
// /speak, whose events have the sentences; another model, or a chosen language, through OpenAI's route.
import { Player, toWav } from './player.js';
import { draw } from './wave.js';

const at = id => document.getElementById(id);
const player = new Player({ onPlaying: mark('playing'), onPlayed: mark('played'), onEnd: () => { at('status').textContent = 'Done.'; setBusy(false); } });
let source = null; // the source of events, while there is one
let total = 0;
let models = [];

function mark(state) {
  return index => {
    const item = at('sentences').children[index];
    if (item && item.className !== 'failed') item.className = state;
  };
}

function setBusy(busy) {
  at('speak').disabled = busy;
  at('stop').disabled = !busy;
}

function fail(message) {
  at('error').textContent = message;
  at('error').hidden = false;
}

function close() {
  source?.close();
  source = null;
}

function onSpeech(e) {
  if (e.type === 'speech.audio.delta') {
    player.add(player.length, toWav(Uint8Array.from(atob(e.audio), c => c.charCodeAt(0))));
    at('status').textContent = 'Speaking…';
  } else if (e.type === 'error') {
    close();
    fail(e.error.message);
    player.finish();
    if (player.length === 0) setBusy(false);
  } else {
    close();
    showDownload();
    player.finish();
  }
}

function onEvent(e) {
  if (e.truncated) fail('The text is too long: it is spoken up to the last sentence end within 1000 characters, and the rest is left out.');
  if (e.status === 'complete') {
    close();
    if (player.length === 0) {
      setBusy(false);
      at('status').textContent = 'No sentence could be generated.';
    } else {
      at('status').textContent = `${total} of ${total} sentences generated.`;
      showDownload();
      player.finish();
    }
  } else if (e.status === 'error') {
    Object.assign(sentence(e.sentence_index), { className: 'failed', textContent: `Sentence ${e.sentence_index + 1}: ${e.message}` });
    fail(`Sentence ${e.sentence_index + 1} could not be generated.`);
    progress(e.sentence_index + 1);
  } else if (e.status === 'success') {
    total = e.total_sentences;
    sentence(e.sentence_index).textContent = e.text;
    progress(e.sentence_index + 1);
  } else if (e.audio_data) {
    player.add(e.sentence_index, Uint8Array.from(atob(e.audio_data), c => c.charCodeAt(0)));
  }
}

function sentence(index) {
  const list = at('sentences');
  while (list.children.length <= index) list.append(document.createElement('li'));
  return list.children[index];
}

function progress(begun) {
  total = Math.max(total, begun);
  at('progress').max = total;
  at('progress').value = begun;
  at('status').textContent = `Sentence ${begun} of ${total}…`;
}

function showDownload() {
  URL.revokeObjectURL(at('download').href);
  at('download').href = URL.createObjectURL(player.wav());
  at('download').hidden = false;
}

// EventSource cannot send a key, and does not give the reason of a refusal: with a key, and to find the reason, fetch is used.
function listen(request) {
  if (!model().is_default || at('language').value) return fetchEvents('v1/audio/speech', speechBody(request), onSpeech);
  const query = new URLSearchParams({ ...request, chunk: true });
  if (at('key').value) return fetchEvents('speak', speakBody(request), onEvent);
  const events = new EventSource(`speak?${query}`);
  let opened = false;
  events.onopen = () => { opened = true; };
  events.onmessage = message => onEvent(JSON.parse(message.data));
  events.onerror = async () => { // also called when a stream has ended: EventSource would connect again
    events.close();
    if (!source) return;
    close();
    if (opened) {
      fail('The connection was lost.');
      player.finish();
      if (player.length === 0) setBusy(false);
    } else {
      await explain(request);
    }
  };
  return events;
}

async function explain(request) {
  fetchEvents('speak', speakBody(request), onEvent);
}

function speakBody(request) {
  return { ...request, exaggeration: +request.exaggeration, cfg_weight: +request.cfg_weight, stream: true, chunk: true };
}

function speechBody({ text, voice, ...settings }) {
  const body = { model: model().id, input: text, voice, response_format: 'pcm', stream_format: 'sse' };
  if (at('language').value) body.language = at('language').value;
  for (const [name, value] of Object.entries(settings)) if (!model().unsupported_parameters.includes(name)) body[name] = +value;
  return body;
}

function fetchEvents(path, body, onData) {
  const gone = new AbortController();
  (async () => {
    const headers = { 'Content-Type': 'application/json' };
    if (at('key').value) headers.Authorization = `Bearer ${at('key').value}`;
    const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body), signal: gone.signal });
    if (!answer.ok) {
      at('key-label').hidden = at('key-label').hidden && answer.status !== 401;
      const error = await answer.json().catch(() => null);
      throw new Error(error?.detail ?? error?.error?.message ?? `The service answered ${answer.status}.`);
    }

    source ??= { close: () => gone.abort() };
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      blocks.filter(b => b.startsWith('data: ')).forEach(b => onData(JSON.parse(b.slice(6))));
    }

    if (source) throw new Error('The connection was lost.'); // an answer that is complete has closed it
  })().catch(error => {
    if (error.name === 'AbortError') return;
    close();
    fail(error.message);
    if (player.playing > 0) {
      at('status').textContent = 'The connection was lost; what has come is played to its end.';
      showDownload();
      player.finish();
    } else {
      setBusy(false);
      at('status').textContent = 'Ready.';
    }
  });
  return { close: () => gone.abort() };
}

at('form').addEventListener('submit', event => {
  event.preventDefault();
  close();
  player.reset(); // a key press or click has happened, so sound may begin
  total = 0;
  at('error').hidden = true;
  at('download').hidden = true;
  at('sentences').replaceChildren();
  at('progress').value = 0;
  at('status').textContent = 'Waiting for the first sentence…';
  setBusy(true);
  source = listen({ text: at('text').value, voice: at('voice').value, exaggeration: at('exaggeration').value, cfg_weight: at('cfg_weight').value });
});

at('stop').addEventListener('click', () => {
  close();
  if (player.length > 0) showDownload();
  player.stop();
  setBusy(false);
  at('status').textContent = 'Stopped.';
});

document.addEventListener('keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !at('speak').disabled) at('form').requestSubmit();
  if (event.key === 'Escape' && !at('stop').disabled) at('stop').click();
});

for (const id of ['exaggeration', 'cfg_weight']) {
  at(id).addEventListener('input', () => { at(`${id}-value`).value = at(id).value; });
}

const count = () => { at('count').textContent = [...at('text').value].length; };
at('text').addEventListener('input', count);
count();

const model = () => models.find(m => m.id === at('model-name').value) ?? { is_default: true };

// Settings that the chosen model does not have are disabled.
function showModel() {
  const { languages = [], unsupported_parameters: lacks = [] } = model();
  at('language-label').hidden = languages.length === 0;
  at('language').replaceChildren(new Option('as the text is', ''), ...languages.map(code => new Option(code)));
  for (const id of ['exaggeration', 'cfg_weight']) at(id).disabled = lacks.includes(id);
}

at('model-name').addEventListener('change', showModel);

async function describe() {
  try {
    const health = await (await fetch('health')).json();
    at('model').textContent = `${health.model} on ${health.device}: ${health.status}${health.model_loaded ? '' : ', not loaded'}`;
    const { voices = [] } = await ask('voices');
    const chosen = at('voice').value;
    at('voice').replaceChildren(...['default', ...voices].map(name => new Option(name, name, false, name === chosen)));
    const { data = [] } = await ask('v1/models');
    if (data.length !== models.length) {
      models = data;
      at('model-name').replaceChildren(...models.map(({ id }) => new Option(id)));
      at('model-label').hidden = models.length < 2;
      showModel();
    }
  } catch {
    at('model').textContent = 'The service does not respond.';
  }
}

async function ask(path) {
  const answer = await fetch(path, at('key').value ? { headers: { Authorization: `Bearer ${at('key').value}` } } : {});
  at('key-label').hidden = at('key-label').hidden && answer.status !== 401;
  return answer.ok ? answer.json() : {};
}

at('key').addEventListener('change', describe);
describe();
draw(at('wave'), player);

window.chatterbox = player; // for the browser's console
