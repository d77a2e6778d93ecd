// The official npm client against the running service, whose address is the first argument. Ends with 1 at the first surprise.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const [address, formats] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${address}v1`, apiKey: 'none', maxRetries: 0 });
const ask = { model: 'tts-1', voice: 'alloy', input: 'Hello there, this is the npm client.', response_format: 'pcm' };

// Whole, and piece by piece.
const whole = Buffer.from(await (await client.audio.speech.create({ ...ask, seed: 5 })).arrayBuffer());
assert.ok(whole.length > 1000);
const parts = [];
for await (const part of (await client.audio.speech.create({ ...ask, seed: 5 })).body) parts.push(part);
assert.deepEqual(Buffer.concat(parts), whole);

// As events.
const events = (await (await client.audio.speech.create({ ...ask, seed: 5, stream_format: 'sse' })).text())
  .split('\n\n').filter(Boolean).map(block => JSON.parse(block.slice('data: '.length)));
assert.deepEqual(Buffer.concat(events.slice(0, -1).map(e => Buffer.from(e.audio, 'base64'))), whole);
assert.equal(events.at(-1).type, 'speech.audio.done');
assert.equal(events.at(-1).usage.total_tokens, events.at(-1).usage.input_tokens + events.at(-1).usage.output_tokens);

for (const response_format of formats.split(',')) {
  const answer = await client.audio.speech.create({ ...ask, response_format, speed: formats.includes('mp3') ? 1.5 : 1 });
  assert.ok((await answer.arrayBuffer()).byteLength > 500, response_format);
}

assert.deepEqual((await client.models.list()).data.map(m => m.id), ['fake']);
assert.equal((await client.models.retrieve('fake')).id, 'fake');

await assert.rejects(client.audio.speech.create({ ...ask, voice: 'nobody' }), e => e instanceof OpenAI.NotFoundError && e.code === 'voice_not_found' && e.param === 'voice');
await assert.rejects(client.audio.speech.create({ ...ask, model: 'tts-9' }), e => e instanceof OpenAI.NotFoundError && e.code === 'model_not_found');
await assert.rejects(client.audio.speech.create({ ...ask, speed: 9 }), e => e instanceof OpenAI.BadRequestError && e.param === 'speed' && e.type === 'invalid_request_error');
console.log('The npm client is content.');
