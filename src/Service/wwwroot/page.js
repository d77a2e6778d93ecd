// The page: what each control does, and what the user is told. The default model is used through /speak, whose events have the
// sentences as they come; another model, a chosen language or a temperature through OpenAI's route.
import { at, bytesOf, events, get, getJson, post, save } from './api.js';
import { keep } from './history.js';
import { start as startLongText } from './longtext.js';
import { Player } from './player.js';
import { start as startRecordings } from './recordings.js';
import { Replay, showTime } from './replay.js';
import * as settings from './settings.js';
import { showSnippet, start as startSnippets } from './snippets.js';
import { startTabs } from './tabs.js';
import * as voices from './voices.js';
import { toWav } from './wav.js';
import { draw } from './wave.js';

const MOST_SPEAK = 1000;
const MOST_SPEECH = 4096;
const LARGEST_SEED = 2 ** 31;

const player = new Player({ onPlaying: mark('playing'), onPlayed: mark('played'), onEnd, onGap: () => tell('This device is slower than speech: there are gaps. Replay plays without them.') });
const replay = new Replay({ onTime: follow, onEnd: () => { markTo(Infinity); showReplay(); } });
let request = null;   // what is being generated, with an AbortController
let take = null;      // what was generated last, complete
let samples = [];     // of the waveform
let total = 0;
let models = [];

const model = () => models.find(m => m.id === at('model-name').value) ?? { is_default: true };
const usesSpeak = () => model().is_default && !at('language').value && settings.isDefault('temperature');
const status = text => { at('status').textContent = text; };

function mark(state) {
  return index => {
    const item = at('sentences').children[index];
    if (item && item.className !== 'failed') item.className = state;
  };
}

/** Marks the sentences of a take, for a time in it. */
function markTo(time) {
  take?.ranges.forEach((range, index) => range && mark(time >= range.end ? 'played' : time >= range.start ? 'playing' : '')(index));
}

function follow(time) {
  markTo(time);
  show(time, take?.duration ?? 0);
}

function show(position, duration) {
  showTime(position, duration);
  draw(at('wave'), { samples, position, duration });
}

function setBusy(busy) {
  at('speak').disabled = busy;
  at('stop').disabled = !busy;
  at('pause').disabled = !busy && !take;
}

function fail(message) {
  at('error').textContent = message;
  at('error').hidden = false;
}

function tell(message) {
  at('note').textContent = message;
  at('note').hidden = false;
}

function onEnd() {
  status('Done.');
  setBusy(false);
  showReplay();
  if (take) show(take.duration, take.duration);
}

/** All that will come has come: it can be replayed and saved. */
function complete() {
  request.abort.abort();
  const { text, voice, seed, settings: values } = request;
  request = null;
  if (player.length === 0) return;
  const blob = player.wav();
  take = {
    text, voice, seed, settings: values, model: at('model-name').value, language: at('language').value, blob, url: URL.createObjectURL(blob), duration: player.duration,
    ranges: player.ranges(), sentences: [...at('sentences').children].map(item => item.textContent), samples,
  };
  replay.take = take;
  keep(take, { play, again });
  offerTake();
}

function offerTake() {
  at('download').href = take.url;
  at('downloads').hidden = false;
  at('replay').disabled = at('seek').disabled = at('pause').disabled = false;
}

// Playback: of what comes while it comes, then of the take.
function showReplay() {
  const paused = player.playing > 0 ? player.isPaused : !replay.isPlaying;
  at('pause').textContent = paused ? (player.playing > 0 ? 'Resume' : 'Play') : 'Pause';
  at('pause').setAttribute('aria-pressed', paused);
}

async function togglePause() {
  if (player.playing > 0) await (player.isPaused ? player.resume() : player.pause());
  else if (replay.isPlaying) replay.pause();
  else if (take) await replay.play();
  showReplay();
}

/** Plays the take from a time; what is still playing of it falls silent. */
async function playFrom(seconds) {
  if (!take) return;
  if (player.playing > 0) {
    player.stop();
    status('Done.');
    setBusy(false);
  }

  markTo(seconds);
  await replay.play(seconds);
  showReplay();
}

function play(one) {
  stop();
  take = one;
  samples = one.samples;
  replay.take = one;
  at('sentences').replaceChildren(...one.sentences.map(text => Object.assign(document.createElement('li'), { textContent: text })));
  offerTake();
  playFrom(0);
}

function again(one, seed) {
  at('text').value = one.text;
  at('voice').value = one.voice;
  at('model-name').value = one.model;
  showModel();
  at('language').value = one.language;
  settings.setValues(one.settings);
  at('seed').value = seed ?? '';
  at('form').requestSubmit();
}

// What comes.
function addChunk(index, wav) {
  player.add(index, wav);
  samples.push(player.pieces.at(-1).node.buffer.getChannelData(0));
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
  status(`Sentence ${begun} of ${total}…`);
}

function onSpeech(e) {
  if (e.type === 'speech.audio.delta') {
    addChunk(player.length, toWav(bytesOf(e.audio)));
    status('Speaking…');
  } else {
    if (e.type === 'error') fail(e.error.message);
    complete();
    player.finish();
    if (player.length === 0) setBusy(false);
  }
}

function onEvent(e) {
  if (e.truncated) fail('The text is too long: it is spoken up to the last sentence end within 1000 characters, and the rest is left out.');
  if (e.status === 'complete') {
    complete();
    if (player.length === 0) {
      setBusy(false);
      status('No sentence could be generated.');
    } else {
      status(`${total} of ${total} sentences generated.`);
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
    addChunk(e.sentence_index, bytesOf(e.audio_data));
  }
}

/** The body of a request to OpenAI's route. */
function speechBody({ text, voice, seed, settings: values }) {
  const body = { model: model().id ?? 'tts-1', input: text, voice, ...values };
  if (at('language').value) body.language = at('language').value;
  if (seed !== null) body.seed = seed;
  return body;
}

const form = seed => ({ text: at('text').value, voice: at('voice').value, seed, settings: settings.values() });

async function generate(current) {
  const { text, voice, seed, settings: { exaggeration, cfg_weight } } = current;
  const [path, body, onData] = usesSpeak()
    ? ['speak', { text, voice, exaggeration, cfg_weight, seed, stream: true, chunk: true }, onEvent]
    : ['v1/audio/speech', { ...speechBody(current), response_format: 'pcm', stream_format: 'sse' }, onSpeech];
  try {
    const answer = await post(path, body, current.abort.signal);
    const [ahead, wait] = [answer.headers.get('X-Chatterbox-Queue-Position'), answer.headers.get('X-Chatterbox-Expected-Wait')];
    if (+ahead > 0 && player.length === 0) status(`Waiting: ${ahead} ${ahead === '1' ? 'request is' : 'requests are'} ahead${+wait > 0 ? `, some ${Math.ceil(wait)} s` : ''}.`);
    for await (const e of events(answer)) {
      if (request !== current) return;
      onData(e);
    }

    if (request === current) throw new Error('The connection was lost.'); // an answer that is complete has ended it
  } catch (error) {
    if (request !== current) return; // stopped, or complete
    fail(error instanceof TypeError ? 'The connection was lost.' : error.message);
    const plays = player.playing > 0;
    complete();
    if (plays) {
      status('The connection was lost; what has come is played to its end.');
      player.finish();
    } else {
      setBusy(false);
      status('Ready.');
    }
  }
}

function stop() {
  request?.abort.abort();
  const current = request;
  if (current) {
    if (player.length > 0) complete();
    request = null;
  }

  replay.pause();
  player.stop();
  player.resume();
  setBusy(false);
  showReplay();
}

at('form').addEventListener('submit', event => {
  event.preventDefault();
  stop();
  replay.take = take = null;
  player.reset(); // a key press or click has happened, so sound may begin
  [total, samples] = [0, []];
  at('error').hidden = at('note').hidden = at('downloads').hidden = true;
  at('replay').disabled = at('seek').disabled = true;
  at('sentences').replaceChildren();
  at('progress').value = 0;
  status('Waiting for the first sentence…');
  setBusy(true);
  showReplay();
  request = { ...form(at('seed').value === '' ? Math.floor(Math.random() * LARGEST_SEED) : +at('seed').value), abort: new AbortController() };
  generate(request);
});

at('stop').addEventListener('click', () => {
  stop();
  status('Stopped.');
});

at('pause').addEventListener('click', togglePause);
at('replay').addEventListener('click', () => playFrom(0));
at('seek').addEventListener('input', () => playFrom(+at('seek').value));
at('wave').addEventListener('click', event => take && playFrom(event.offsetX / at('wave').clientWidth * take.duration));
at('rate').addEventListener('change', () => {
  if (replay.isPlaying) replay.play();
  else if (take && player.playing > 0) playFrom(player.position);
});

at('download-as').addEventListener('click', async () => {
  const format = at('format').value;
  at('download-as').disabled = true;
  try {
    const body = { ...speechBody(take), response_format: format, stream: false, timestamp_granularities: ['sentence'] };
    save(await (await post('v1/audio/speech', body)).blob(), `speech.${format}`);
  } catch (error) {
    fail(error.message);
  } finally {
    at('download-as').disabled = false;
  }
});

document.addEventListener('keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !at('speak').disabled) at('form').requestSubmit();
  if (event.key === 'Escape' && !at('stop').disabled) at('stop').click();
});

/** Shows what follows from the form: how much of the text is spoken, and the same request in code. */
function refresh() {
  const most = usesSpeak() ? MOST_SPEAK : MOST_SPEECH;
  const count = [...at('text').value].length;
  at('count').textContent = count;
  at('most').textContent = most;
  at('over').hidden = count <= most;
  showSnippet(speechBody(form(at('seed').value === '' ? null : +at('seed').value)));
}

at('form').addEventListener('input', refresh);
at('form').addEventListener('change', refresh);

function showModel() {
  const { languages = [], unsupported_parameters: lacks = [] } = model();
  at('language-label').hidden = languages.length === 0;
  at('language').replaceChildren(new Option('as the text is', ''), ...languages.map(code => new Option(code)));
  settings.allow(lacks);
}

at('model-name').addEventListener('change', showModel);

async function describe() {
  try {
    const answer = await get('health');
    const health = await answer.json();
    at('stand-in').hidden = !(answer.headers.get('X-Chatterbox-Model') ?? '').includes('stand-in');
    at('model').textContent = `${health.model} on ${health.device}: ${health.status}${health.model_loaded ? '' : ', not loaded'}`;
    await voices.list();
    const { data = [] } = await getJson('v1/models').catch(() => ({}));
    if (data.length !== models.length) {
      models = data;
      at('model-name').replaceChildren(...models.map(({ id }) => new Option(id)));
      at('model-label').hidden = models.length < 2;
      showModel();
    }

    const { formats, voice_uploads } = await getJson('./');
    at('format').replaceChildren(...formats.filter(name => name !== 'wav').map(name => new Option(name)));
    voices.allowUploads(voice_uploads);
    refresh();
    if (!health.model_loaded) setTimeout(describe, 2000);
  } catch {
    at('model').textContent = 'The service does not respond.';
    setTimeout(describe, 5000);
  }
}

function frame() {
  if (player.playing > 0) show(player.position, player.duration);
  setTimeout(frame, matchMedia('(prefers-reduced-motion: reduce)').matches ? 500 : 50);
}

at('key').addEventListener('change', describe);
at('adjust').open = !matchMedia('(max-width: 40rem)').matches;
startTabs(at('tabs'));
settings.start();
voices.start();
startRecordings();
startSnippets(refresh);
startLongText(() => speechBody(form(at('seed').value === '' ? null : +at('seed').value)));
refresh();
describe();
frame();

window.chatterbox = player; // for the browser's console
