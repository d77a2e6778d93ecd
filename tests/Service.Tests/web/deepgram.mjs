// Deepgram's npm client against the running service, whose address is the first argument. Ends with 1 at the first surprise.
import assert from 'node:assert/strict';
import { DeepgramClient } from '@deepgram/sdk';

const [address] = process.argv.slice(2);
const base = address.replace(/\/$/, '');
const socketBase = base.replace('http', 'ws');
const client = new DeepgramClient({ apiKey: 'none', maxRetries: 0, environment: { base, production: socketBase, agent: socketBase, agentRest: base } });

// A complete text.
const ask = { text: 'Hello there. This is the npm client.', model: 'aura-2-thalia-en', encoding: 'linear16', container: 'wav', sample_rate: 24000 };
const answer = await client.speak.v1.audio.generate(ask);
const wav = Buffer.from(await answer.arrayBuffer());
assert.equal(wav.toString('latin1', 0, 4), 'RIFF');
assert.ok(wav.length > 1000);
const mp3 = await client.speak.v1.audio.generate({ text: 'Hello there.', model: 'aura-2-thalia-en', encoding: 'mp3' });
assert.ok((await mp3.arrayBuffer()).byteLength > 500);
await assert.rejects(client.speak.v1.audio.generate({ text: 'Hello.', model: 'nobody' }), e => e.statusCode === 404 && e.body.err_code === 'VOICE_NOT_FOUND');

// A text that is being written.
const socket = await client.speak.v1.connect({ model: 'aura-2-thalia-en', encoding: 'linear16', sample_rate: 24000 });
let heard = 0;
const told = [];
const waiting = [];
socket.on('message', async message => {
  if (message instanceof Blob || message instanceof ArrayBuffer) heard += message.size ?? message.byteLength;
  else if (typeof message === 'object') {
    told.push(message);
    waiting.filter(w => w.type === message.type).forEach(w => w.done());
  }
});
const next = type => new Promise(done => waiting.push({ type, done }));
socket.connect();
await socket.waitForOpen();
const flushed = next('Flushed');
socket.sendText({ type: 'Speak', text: 'Hello there. ' });
socket.sendText({ type: 'Speak', text: 'This is the npm client.' });
socket.sendFlush({ type: 'Flush' });
await flushed;
assert.ok(heard > 1000, `${heard} bytes`);
const cleared = next('Cleared');
socket.sendText({ type: 'Speak', text: 'Nobody hears this.' });
socket.sendClear({ type: 'Clear' });
await cleared;
assert.deepEqual(told.map(t => t.type).filter(type => type !== 'Metadata'), ['Flushed', 'Cleared']);
socket.sendClose({ type: 'Close' });
console.log("Deepgram's client is content.");
process.exit(0);
