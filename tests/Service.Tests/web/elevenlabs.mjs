// ElevenLabs' npm client against the running service, whose address is the first argument. Ends with 1 at the first surprise.
import assert from 'node:assert/strict';
import { ElevenLabsClient } from '@elevenlabs/elevenlabs-js';
import WebSocket from 'ws';

const [address] = process.argv.slice(2);
const client = new ElevenLabsClient({ baseUrl: address.replace(/\/$/, ''), apiKey: 'none', maxRetries: 0 });
const ask = { text: 'Hello there. This is the npm client.', modelId: 'eleven_flash_v2_5', outputFormat: 'pcm_24000', seed: 5, applyTextNormalization: 'auto' };

async function bytes(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

// Whole, and piece by piece.
const whole = await bytes(await client.textToSpeech.convert('default', ask));
assert.ok(whole.length > 1000);
assert.deepEqual(await bytes(await client.textToSpeech.stream('default', ask)), whole);
for (const outputFormat of ['mp3_44100_128', 'opus_48000_64', 'ulaw_8000', 'pcm_16000']) {
  const settings = { stability: 0.5, similarityBoost: 0.8, style: 0.2, useSpeakerBoost: true, speed: 1.1 };
  assert.ok((await bytes(await client.textToSpeech.convert('default', { ...ask, outputFormat, voiceSettings: settings }))).length > 500, outputFormat);
}

// With times: the text is spoken sentence by sentence then.
const timed = await client.textToSpeech.convertWithTimestamps('default', ask);
assert.ok(Buffer.from(timed.audioBase64, 'base64').length > 1000);
const lines = [];
for await (const line of await client.textToSpeech.streamWithTimestamps('default', ask)) lines.push(Buffer.from(line.audioBase64, 'base64'));
assert.deepEqual(Buffer.concat(lines), Buffer.from(timed.audioBase64, 'base64'));

assert.ok((await client.voices.getAll()).voices.some(voice => voice.voiceId === 'default'));
assert.equal((await client.voices.get('default')).voiceId, 'default');
assert.deepEqual((await client.models.list()).map(model => model.modelId), ['fake']);
await assert.rejects(client.textToSpeech.convert('nobody', ask), e => e.statusCode === 404 && e.body.detail.status === 'voice_not_found');

// The client has no WebSocket for texts that are being written: the frames that ElevenLabs documents, over the library that it brings.
const socket = new WebSocket(`${address.replace('http', 'ws')}v1/text-to-speech/default/stream-input?model_id=eleven_flash_v2_5&output_format=pcm_24000`, { headers: { 'xi-api-key': 'none' } });
await new Promise((opened, failed) => socket.on('open', opened).on('error', failed));
const heard = [];
const ended = new Promise((done, failed) => {
  socket.on('message', message => {
    const told = JSON.parse(message);
    if (told.error) failed(new Error(told.message));
    if (told.audio) heard.push(Buffer.from(told.audio, 'base64'));
    if (told.isFinal) done();
  });
  socket.on('close', () => failed(new Error('closed without isFinal')));
});
socket.send(JSON.stringify({ text: ' ', voice_settings: { stability: 0.5, similarity_boost: 0.8 }, generation_config: { chunk_length_schedule: [120, 160, 250, 290] } }));
for (const text of ['Hello there. ', 'This is ', 'the npm client. ']) socket.send(JSON.stringify({ text }));
socket.send(JSON.stringify({ text: '' }));
await ended;
assert.ok(Buffer.concat(heard).length > 1000);
socket.close();
console.log("ElevenLabs' client is content.");
process.exit(0);
